//! `tandem user`: a tenant's users. A tenant without users takes anybody whose token is good.

use tandem_switch::id::UserId;

use super::remote::show::{Format, Table, progress};
use super::remote::{Client, ConnectionArgs, segment};
use crate::tenants::model::User;

/// Arguments of `tandem user`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem user add alice --display-name 'Alice Liddell'
  tandem user list")]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum UserCommand {
    /// Add or change a user.
    Add {
        /// The name: the `sub` of tokens, and what others dial.
        name: String,
        /// The name to show.
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
    },
    /// List the users.
    List(Format),
    /// Forget a user.
    Delete {
        /// The name.
        name: String,
    },
}

pub(super) async fn run(args: UserArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let users = client.path("/users").await?;
    match args.command {
        UserCommand::Add { name, display_name } => {
            let user = User { name: UserId::new(&name)?, display_name };
            let user: User = client.put(&format!("{users}/{}", segment(&name)), &user, None).await?;
            progress(&format!("user {} is added", user.name));
        }
        UserCommand::List(format) => {
            let found: Vec<User> = client.list(&users, &[], usize::MAX).await?;
            format.list(&found, "there are no users: anybody whose token is good may sign in", table)?;
        }
        UserCommand::Delete { name } => {
            client.delete(&format!("{users}/{}", segment(&name))).await?;
            progress(&format!("user {name} is gone"));
        }
    }
    Ok(())
}

fn table(users: &[User]) -> Table {
    let mut table = Table::new(["USER", "SHOWN AS"]);
    for user in users {
        table.row([user.name.to_string(), user.display_name.clone().unwrap_or_else(|| "-".to_owned())]);
    }
    table
}
