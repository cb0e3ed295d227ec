//! `tandem variable`: what functions read as configuration. A secret never stands on a command line, where others could see it.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::remote::show::{Format, Table, progress};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::Variable;

/// Most bytes of a value that are read from a file or standard input; the API's own bound is lower.
const VALUE_BYTES_MAX: u64 = 1024 * 1024;

/// Arguments of `tandem variable`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem variable set greeting 'Good morning'
  tandem variable set crm_key --secret --file crm.key
  pass show crm | tandem variable set crm_key --secret")]
pub struct VariableArgs {
    #[command(subcommand)]
    command: VariableCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum VariableCommand {
    /// Set a variable or secret; functions see it at their next invocation.
    Set(SetArgs),
    /// List them; of secrets only the names.
    List(Format),
    /// Forget one.
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Its name: lower case letters, digits and `_`.
    name: String,
    /// Its value; without it and --file, standard input.
    #[arg(conflicts_with_all = ["secret", "file"])]
    value: Option<String>,
    /// It is a secret: never shown again, masked in logs. Its value comes from --file or standard input.
    #[arg(long)]
    secret: bool,
    /// Read the value from this file; a newline at its end is not part of it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: VariableArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let variables = client.path("/variables").await?;
    match args.command {
        VariableCommand::Set(args) => {
            let value = match args.value {
                Some(value) => value,
                None => text(args.file.as_deref())?,
            };
            let variable = Variable { name: args.name, value: Some(value), secret: args.secret };
            let path = format!("{variables}/{}", segment(&variable.name));
            let kept: Variable = client.put(&path, &variable, None).await?;
            progress(&format!("{} {} is set", if kept.secret { "secret" } else { "variable" }, kept.name));
        }
        VariableCommand::List(format) => {
            let found: Vec<Variable> = client.get(&variables, &[]).await?;
            format.list(&found, "there are no variables", table)?;
        }
        VariableCommand::Delete { name } => {
            client.delete(&format!("{variables}/{}", segment(&name))).await?;
            progress(&format!("{name} is gone"));
        }
    }
    Ok(())
}

fn text(file: Option<&Path>) -> anyhow::Result<String> {
    let text = String::from_utf8(value(file)?).context("the value is no UTF-8 text")?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// A value from a file, else from standard input.
pub(super) fn value(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file {
        Some(file) => {
            let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            open.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        }
        None => {
            if std::io::stdin().is_terminal() {
                progress("type the value, then Enter and Ctrl-D:");
            }
            std::io::stdin().lock().take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        }
    }
    anyhow::ensure!(bytes.len() as u64 <= VALUE_BYTES_MAX, "the value is larger than {VALUE_BYTES_MAX} bytes");
    Ok(bytes)
}

fn table(variables: &[Variable]) -> Table {
    let mut table = Table::new(["VARIABLE", "VALUE"]);
    for variable in variables {
        let value = match (&variable.value, variable.secret) {
            (Some(value), false) => value.clone(),
            _ => "*** (secret)".to_owned(),
        };
        table.row([variable.name.clone(), value]);
    }
    table
}
