//! `tandem mailbox`: mailboxes and the messages in them.

use std::path::PathBuf;

use tandem_switch::id::{MailboxId, PromptId, UserId};

use super::remote::show::{Format, Table, length, printable, progress, utc};
use super::remote::{Client, ConnectionArgs, deliver, segment};
use crate::tenants::model::{Mailbox, MailboxSettings, Message, MessageChange, MessageShare};

/// Arguments of `tandem mailbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem mailbox list                                        all mailboxes
  tandem mailbox set support --owner alice --owner bob --greeting support-greeting
  tandem mailbox messages alice
  tandem mailbox get alice 0123456789abcdefghjkmnpqrs message.ogg
  tandem mailbox mark alice 0123456789abcdefghjkmnpqrs heard
  tandem mailbox share alice 0123456789abcdefghjkmnpqrs bob")]
pub struct MailboxArgs {
    #[command(subcommand)]
    command: MailboxCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, clap::Subcommand)]
enum MailboxCommand {
    /// List mailboxes; a user's own is made with its first message.
    List(Format),
    /// Make a mailbox, or set what it is; what is left out has its usual value.
    Set(SetArgs),
    /// Delete a mailbox and its messages.
    Remove {
        /// Its name.
        mailbox: String,
    },
    /// List the messages in a mailbox, newest first.
    Messages {
        /// Whose.
        mailbox: String,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        format: Format,
    },
    /// Download a message.
    Get {
        #[command(flatten)]
        of: MessageArgs,
        /// Where to; without it, standard output.
        file: Option<PathBuf>,
    },
    /// Say whether a message has been heard.
    Mark {
        #[command(flatten)]
        of: MessageArgs,
        /// What to say.
        #[arg(value_parser = ["heard", "unheard"])]
        state: String,
    },
    /// Put a message into another mailbox too.
    Share {
        #[command(flatten)]
        of: MessageArgs,
        /// The other mailbox.
        with: String,
    },
    /// Delete a message.
    Delete {
        #[command(flatten)]
        of: MessageArgs,
    },
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Its name.
    mailbox: String,
    /// A user whose it is; several times for several. Without it: the user of its name.
    #[arg(long = "owner", value_name = "USER")]
    owners: Vec<String>,
    /// The prompt that callers hear first.
    #[arg(long, value_name = "PROMPT")]
    greeting: Option<String>,
    /// Longest message, seconds.
    #[arg(long, value_name = "SECONDS")]
    message_seconds: Option<u64>,
    /// Most messages.
    #[arg(long, value_name = "COUNT")]
    messages: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct MessageArgs {
    /// The mailbox.
    mailbox: String,
    /// The message's identifier.
    message: String,
}

pub(super) async fn run(args: MailboxArgs) -> anyhow::Result<()> {
    let client = Client::new(args.connection.connection()?)?;
    let mailboxes = client.path("/mailboxes").await?;
    let box_of = |mailbox: &str| format!("{mailboxes}/{}", segment(mailbox));
    let of = |args: &MessageArgs| format!("{}/messages/{}", box_of(&args.mailbox), segment(&args.message));
    match args.command {
        MailboxCommand::List(format) => {
            let found: Vec<Mailbox> = client.list(&mailboxes, &[], usize::MAX).await?;
            format.list(&found, "there are no mailboxes yet", boxes)?;
        }
        MailboxCommand::Set(args) => {
            let path = box_of(&args.mailbox);
            let mailbox: Mailbox = client.put(&path, &settings(args)?, None).await?;
            progress(&format!("mailbox {} is set", mailbox.name));
        }
        MailboxCommand::Remove { mailbox } => {
            client.delete(&box_of(&mailbox)).await?;
            progress(&format!("mailbox {mailbox} is gone, and its messages"));
        }
        MailboxCommand::Messages { mailbox, limit, format } => {
            let path = box_of(&mailbox) + "/messages";
            let found: Vec<Message> = client.list(&path, &[], limit).await?;
            format.list(&found, "there are no messages", messages)?;
        }
        MailboxCommand::Get { of: args, file } => {
            deliver(&client.bytes(&(of(&args) + "/audio")).await?, file.as_deref())?;
        }
        MailboxCommand::Mark { of: args, state } => {
            let change = MessageChange { heard: state == "heard" };
            let _: Message = client.patch(&of(&args), &change).await?;
            progress(&format!("message {} is marked {state}", args.message));
        }
        MailboxCommand::Share { of: args, with } => {
            let share = MessageShare { with: MailboxId::new(&with)? };
            let _: Message = client.post(&(of(&args) + "/share"), &share).await?;
            progress(&format!("message {} is in mailbox {with} too", args.message));
        }
        MailboxCommand::Delete { of: args } => {
            client.delete(&of(&args)).await?;
            progress(&format!("message {} is gone", args.message));
        }
    }
    Ok(())
}

fn settings(args: SetArgs) -> anyhow::Result<MailboxSettings> {
    let owners = args.owners.iter().map(|owner| UserId::new(owner)).collect::<Result<_, _>>()?;
    let greeting = args.greeting.as_deref().map(PromptId::new).transpose()?;
    Ok(MailboxSettings { owners, greeting, message_seconds: args.message_seconds, messages: args.messages })
}

fn boxes(mailboxes: &[Mailbox]) -> Table {
    let mut table = Table::new(["MAILBOX", "WAITING", "MESSAGES", "OWNERS", "GREETING"]);
    for mailbox in mailboxes {
        let Mailbox { name, settings, messages, waiting, .. } = mailbox;
        let owners = settings.owners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let owners = if owners.is_empty() { name.to_string() } else { owners };
        let greeting = settings.greeting.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        table.row([name.to_string(), waiting.to_string(), messages.to_string(), owners, greeting]);
    }
    table
}

fn messages(messages: &[Message]) -> Table {
    let mut table = Table::new(["MESSAGE", "RECEIVED", "FROM", "LENGTH", "HEARD"]);
    for message in messages {
        let heard = if message.heard { "yes" } else { "no" };
        let from = printable(&message.from);
        table.row([
            message.id.to_string(),
            utc(message.received_at),
            from,
            length(message.duration_ms),
            heard.to_owned(),
        ]);
    }
    table
}
