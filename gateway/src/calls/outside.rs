//! The world as a tenant's function meets it in a live call: its key-value stores, variables, outgoing HTTP and directory, each within what
//! the version's manifest and the tenant's budgets allow.

use std::sync::Arc;

use tandem_host::outside::{Bytes, Outside, Question, Refusal, Reply};
use tandem_switch::id::{QueueId, RoomName, TenantId, UserId};
use tokio::sync::{mpsc, oneshot};

use crate::calls::budgets::Budgets;
use crate::outgoing::{Client, HostPattern};
use crate::store::{Kv, KvError, Quota};
use crate::tenants::model::{Limits, Manifest, Variables};

/// The label of the key-value store that every function has.
const DEFAULT_STORE: &str = "default";

/// Most keys that one question is given.
const KEYS_MAX: usize = 1000;

/// Most questions for the directory that wait for the call driver. It answers in microseconds; when it is full, the question is refused.
const DIRECTORY_QUESTIONS_MAX: usize = 1024;

/// A question for the call driver, which alone knows.
#[derive(Debug)]
pub struct DirectoryQuestion {
    /// Of whose it is.
    pub tenant: TenantId,
    /// What it asks.
    pub about: About,
    /// Where the answer goes; `None`: there is no such thing.
    pub answer: oneshot::Sender<Option<usize>>,
}

/// What a question for the call driver is about.
#[derive(Debug)]
pub enum About {
    /// How many devices of a user can be rung.
    Reachable(UserId),
    /// How many parties are in a room and a channel of this name.
    Room(RoomName),
    /// How many callers wait in a queue.
    Queue(QueueId),
}

/// Asks the call driver who is reachable. Clones share it.
#[derive(Clone, Debug)]
pub struct Directory(mpsc::Sender<DirectoryQuestion>);

impl Directory {
    /// A directory, and where its questions come out.
    pub fn new() -> (Self, mpsc::Receiver<DirectoryQuestion>) {
        let (questions, asked) = mpsc::channel(DIRECTORY_QUESTIONS_MAX);
        (Self(questions), asked)
    }

    async fn reachable(&self, tenant: TenantId, user: &str) -> Result<usize, Refusal> {
        // What can be no user's name is nobody's.
        let Ok(user) = UserId::new(user) else { return Ok(0) };
        self.ask(tenant, About::Reachable(user)).await.map(|devices| devices.unwrap_or(0))
    }

    async fn room(&self, tenant: TenantId, room: &str) -> Result<usize, Refusal> {
        let Ok(room) = RoomName::new(room) else { return Ok(0) };
        self.ask(tenant, About::Room(room)).await.map(|parties| parties.unwrap_or(0))
    }

    async fn queue_length(&self, tenant: TenantId, queue: &str) -> Result<usize, Refusal> {
        let no_such = || Refusal::NoSuch(format!("queue {queue:?}"));
        let name = QueueId::new(queue).map_err(|_| no_such())?;
        self.ask(tenant, About::Queue(name)).await?.ok_or_else(no_such)
    }

    async fn ask(&self, tenant: TenantId, about: About) -> Result<Option<usize>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| Refusal::Failed("the gateway is too busy to look".into());
        self.0.try_send(DirectoryQuestion { tenant, about, answer }).map_err(busy)?;
        answered.await.map_err(|_| Refusal::Failed("the gateway is stopping".into()))
    }
}

/// What answers functions' questions, on this node. Clones share it.
#[derive(Clone, Debug)]
pub struct World {
    /// Key-value stores.
    pub kv: Kv,
    /// Sends outgoing HTTP requests.
    pub http: Client,
    /// Knows who is reachable.
    pub directory: Directory,
}

/// The world around one invocation.
#[derive(Debug)]
pub struct Surroundings {
    /// What answers.
    pub world: World,
    /// Whose function it is.
    pub tenant: TenantId,
    /// What the version may reach.
    pub manifest: Arc<Manifest>,
    /// The tenant's variables.
    pub variables: Arc<Variables>,
    /// How much the tenant may keep.
    pub quota: Quota,
    /// How much it may send.
    pub budgets: Arc<Budgets>,
}

/// How much a tenant may keep in key-value stores.
pub fn quota(limits: &Limits) -> Quota {
    Quota { keys: limits.kv_keys, bytes: limits.kv_bytes }
}

#[async_trait::async_trait]
impl Outside for Surroundings {
    async fn ask(&self, question: Question) -> Reply {
        self.answer(question).await.unwrap_or_else(Reply::Refused)
    }
}

impl Surroundings {
    async fn answer(&self, question: Question) -> Result<Reply, Refusal> {
        let tenant = &self.tenant;
        let refused = |error| self.refusal(error);
        match question {
            Question::KvOpen { store } => self.store(&store).map(|_| Reply::Done),
            Question::KvGet { store, key } => {
                let value = self.store(&store)?.get(tenant, &store, &key).await.map_err(refused)?;
                Ok(Reply::Value(value.map(Bytes)))
            }
            Question::KvSet { store, key, value } => {
                self.store(&store)?.set(tenant, &store, &key, value.0, self.quota).await.map_err(refused)?;
                Ok(Reply::Done)
            }
            Question::KvDelete { store, key } => {
                self.store(&store)?.delete(tenant, &store, &key).await.map_err(refused)?;
                Ok(Reply::Done)
            }
            Question::KvExists { store, key } => {
                self.store(&store)?.exists(tenant, &store, &key).await.map(Reply::Truth).map_err(refused)
            }
            Question::KvKeys { store, after } => {
                let keys = self.store(&store)?.keys(tenant, &store, after.as_deref(), KEYS_MAX);
                let (keys, more) = keys.await.map_err(refused)?;
                let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
                let more = keys.last().filter(|_| more).cloned();
                Ok(Reply::Keys { keys, more })
            }
            Question::KvIncrement { store, key, by } => {
                let sum = self.store(&store)?.increment(tenant, &store, &key, by, self.quota);
                sum.await.map(Reply::Number).map_err(refused)
            }
            Question::Variable { name } => Ok(Reply::Text(self.variables.get(&name).map(|(value, _)| value.clone()))),
            Question::Variables => Ok(Reply::Texts(
                self.variables.iter().map(|(name, (value, _))| (name.clone(), value.clone())).collect(),
            )),
            Question::Http(request) => {
                self.budgets.request().map_err(|exhausted| Refusal::OverLimit(exhausted.to_string()))?;
                Ok(self.world.http.send(tenant, request, &self.allowed_hosts()).await)
            }
            Question::Reachable { user } => {
                let devices = self.world.directory.reachable(tenant.clone(), &user).await?;
                Ok(Reply::Number(i64::try_from(devices).unwrap_or(i64::MAX)))
            }
            Question::QueueLength { queue } => {
                let callers = self.world.directory.queue_length(tenant.clone(), &queue).await?;
                Ok(Reply::Number(i64::try_from(callers).unwrap_or(i64::MAX)))
            }
            Question::RoomOccupancy { room } => {
                let parties = self.world.directory.room(tenant.clone(), &room).await?;
                Ok(Reply::Number(i64::try_from(parties).unwrap_or(i64::MAX)))
            }
        }
    }

    /// The key-value stores, if this one may be opened.
    fn store(&self, label: &str) -> Result<&Kv, Refusal> {
        if label == DEFAULT_STORE || self.manifest.key_value_stores.iter().any(|named| named == label) {
            return Ok(&self.world.kv);
        }
        let advice = "add it to key_value_stores in the function's manifest and deploy a new version";
        Err(Refusal::Denied(format!("the manifest does not name the key-value store {label:?}; {advice}")))
    }

    /// A manifest was checked when its version was made.
    fn allowed_hosts(&self) -> Vec<HostPattern> {
        self.manifest.allowed_outbound_hosts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    fn refusal(&self, error: KvError) -> Refusal {
        match error {
            KvError::Invalid(what) => Refusal::Invalid(what),
            KvError::OverQuota { budget, limit } => {
                match budget {
                    "kv-keys" => self.budgets.meters().kv_keys.refuse(),
                    _ => self.budgets.meters().kv_bytes.refuse(),
                }
                Refusal::OverLimit(format!("{budget} ({limit})"))
            }
            KvError::Store(error) => Refusal::Failed(error.to_string()),
        }
    }
}
