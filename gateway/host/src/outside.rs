//! The one door of a function to the world: every host call that is not pure becomes a [`Question`] to an [`Outside`], and its
//! [`Reply`] is all that the function gets. So a gateway answers from its store and the network, a replay answers from what was
//! recorded, and a test from a table; and what passes the door is the whole record of an invocation's surroundings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Answers what a function asks of the world.
#[async_trait::async_trait]
pub trait Outside: Send + Sync {
    /// Answers one question. It is called once for each host call of an invocation, in their order; an answer may take its time, and
    /// may be dropped half-way when the invocation's deadline passes.
    async fn ask(&self, question: Question) -> Reply;
}

/// What a function asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Key-value: the value of a key. Answer: [`Reply::Value`].
    KvGet {
        /// The store's label; `default` unless the function names another.
        store: String,
        /// The key.
        key: String,
    },
    /// Key-value: keep a value. Answer: [`Reply::Done`].
    KvSet {
        /// The store's label.
        store: String,
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
    },
    /// Key-value: forget a key; one that is not there is no error. Answer: [`Reply::Done`].
    KvDelete {
        /// The store's label.
        store: String,
        /// The key.
        key: String,
    },
    /// Key-value: whether there is a key. Answer: [`Reply::Truth`].
    KvExists {
        /// The store's label.
        store: String,
        /// The key.
        key: String,
    },
    /// Key-value: the keys after this one, in their order. Answer: [`Reply::Keys`].
    KvKeys {
        /// The store's label.
        store: String,
        /// Where the page before ended.
        after: Option<String>,
    },
    /// Key-value: add to the number under a key (decimal text; a missing key counts as 0). Answer: [`Reply::Number`].
    KvIncrement {
        /// The store's label.
        store: String,
        /// The key.
        key: String,
        /// How much.
        by: i64,
    },
    /// Key-value: whether a store of this label may be opened. Answer: [`Reply::Done`].
    KvOpen {
        /// The store's label.
        store: String,
    },
    /// A variable or secret of the tenant. Answer: [`Reply::Text`].
    Variable {
        /// Its name.
        name: String,
    },
    /// All variables and secrets. Answer: [`Reply::Texts`].
    Variables,
    /// An outgoing HTTP request. Answer: [`Reply::Response`].
    Http(HttpRequest),
    /// How many devices of a user can be rung right now. Answer: [`Reply::Number`].
    Reachable {
        /// The user's name.
        user: String,
    },
    /// How many callers wait in a queue. Answer: [`Reply::Number`].
    QueueLength {
        /// The queue's name.
        queue: String,
    },
    /// How many parties are in a room. Answer: [`Reply::Number`].
    RoomOccupancy {
        /// The room's name.
        room: String,
    },
}

impl Question {
    /// How much it carries, bytes, without what surrounds it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::KvGet { store, key }
            | Self::KvDelete { store, key }
            | Self::KvExists { store, key }
            | Self::KvIncrement { store, key, by: _ } => store.len() + key.len(),
            Self::KvSet { store, key, value } => store.len() + key.len() + value.0.len(),
            Self::KvKeys { store, after } => store.len() + after.as_ref().map_or(0, String::len),
            Self::KvOpen { store: name }
            | Self::Variable { name }
            | Self::Reachable { user: name }
            | Self::QueueLength { queue: name }
            | Self::RoomOccupancy { room: name } => name.len(),
            Self::Variables => 0,
            Self::Http(request) => {
                request.method.len() + request.url.len() + pairs(&request.headers) + request.body.0.len()
            }
        }
    }
}

/// In a line, without values and bodies.
impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KvGet { store, key } => write!(f, "key-value: get {key} of {store}"),
            Self::KvSet { store, key, .. } => write!(f, "key-value: set {key} of {store}"),
            Self::KvDelete { store, key } => write!(f, "key-value: delete {key} of {store}"),
            Self::KvExists { store, key } => write!(f, "key-value: is there {key} in {store}"),
            Self::KvKeys { store, after: None } => write!(f, "key-value: keys of {store}"),
            Self::KvKeys { store, after: Some(after) } => write!(f, "key-value: keys of {store} after {after}"),
            Self::KvIncrement { store, key, by } => write!(f, "key-value: add {by} to {key} of {store}"),
            Self::KvOpen { store } => write!(f, "key-value: open {store}"),
            Self::Variable { name } => write!(f, "variable {name}"),
            Self::Variables => f.write_str("all variables"),
            Self::Http(request) => write!(f, "{} {}", request.method, request.url),
            Self::Reachable { user } => write!(f, "is {user} reachable"),
            Self::QueueLength { queue } => write!(f, "length of the queue {queue}"),
            Self::RoomOccupancy { room } => write!(f, "occupancy of the room {room}"),
        }
    }
}

impl Reply {
    /// How much it carries, bytes, without what surrounds it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Value(value) => value.as_ref().map_or(0, |value| value.0.len()),
            Self::Done | Self::Truth(_) | Self::Number(_) | Self::Refused(_) => 0,
            Self::Keys { keys, more } => {
                keys.iter().map(String::len).sum::<usize>() + more.as_ref().map_or(0, String::len)
            }
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Texts(texts) => pairs(texts),
            Self::Response(response) => pairs(&response.headers) + response.body.0.len(),
        }
    }
}

/// Takes a reply for what its question wants. An outside that answers with something else is at fault: the function is told that it failed.
macro_rules! taking {
    ($($name:ident: $reply:pat => $value:expr, $ty:ty;)*) => {$(
        pub(crate) fn $name(self) -> Result<$ty, Refusal> {
            match self {
                $reply => Ok($value),
                Self::Refused(refusal) => Err(refusal),
                _ => Err(Refusal::Failed("the gateway answered something else".into())),
            }
        }
    )*};
}

impl Reply {
    taking! {
        value: Self::Value(value) => value, Option<Bytes>;
        done: Self::Done => (), ();
        truth: Self::Truth(truth) => truth, bool;
        keys: Self::Keys { keys, more } => (keys, more), (Vec<String>, Option<String>);
        number: Self::Number(number) => number, i64;
        text: Self::Text(text) => text, Option<String>;
        texts: Self::Texts(texts) => texts, Vec<(String, String)>;
        response: Self::Response(response) => response, HttpResponse;
    }
}

fn pairs(pairs: &[(String, String)]) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A value, if there is one.
    Value(Option<Bytes>),
    /// It is done.
    Done,
    /// Yes or no.
    Truth(bool),
    /// Some keys.
    Keys {
        /// In their order.
        keys: Vec<String>,
        /// Where the next page begins, when there is more.
        more: Option<String>,
    },
    /// A number.
    Number(i64),
    /// A text, if there is one.
    Text(Option<String>),
    /// Names and texts, in the order of the names.
    Texts(Vec<(String, String)>),
    /// What a server answered.
    Response(HttpResponse),
    /// There is no answer.
    Refused(Refusal),
}

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The function may not do that; says what would have to change.
    #[error("denied: {0}")]
    Denied(String),
    /// No such thing (a store of that label, a queue).
    #[error("there is no {0}")]
    NoSuch(String),
    /// A budget of the tenant is used up.
    #[error("over the tenant's limit: {0}")]
    OverLimit(String),
    /// What was asked, or its answer, is larger than it may be.
    #[error("too large: {0}")]
    TooLarge(String),
    /// What was asked is not well-formed.
    #[error("not well-formed: {0}")]
    Invalid(String),
    /// It took too long.
    #[error("timed out: {0}")]
    TimedOut(String),
    /// It failed.
    #[error("failed: {0}")]
    Failed(String),
    /// In a replay: this question was not asked when the invocation was recorded, so nobody knows the answer.
    #[error("not recorded")]
    NotRecorded,
}

/// An outgoing HTTP request, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method, upper case.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Names in lower case, and values; what is no UTF-8 was refused before.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The longest wait that the function asked for, milliseconds; the gateway's own limit holds as well.
    pub timeout_ms: Option<u64>,
}

/// What a server answered, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Bytes; as JSON a string when they are UTF-8, else `{"base64": "…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub bytes::Bytes);

/// How [`Bytes`] look as JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Coded { base64: String },
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Written::Coded { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into(),
            Written::Coded { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom)?.into(),
        }))
    }
}

/// An outside that has nothing to give: for tests, benchmarks and `tandem check`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

#[async_trait::async_trait]
impl Outside for Nothing {
    async fn ask(&self, _question: Question) -> Reply {
        Reply::Refused(Refusal::Denied("this function has no world around it".into()))
    }
}
