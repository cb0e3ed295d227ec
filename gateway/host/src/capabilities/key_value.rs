//! Key-value stores, by the four names that tools have for them: two drafts of `wasi:keyvalue`, and Spin's two. All are the same stores
//! behind the same questions.
//!
//! Compare-and-swap (`cas`) is not offered: it would need a store that keeps revisions. `increment` is atomic.

use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use crate::capabilities::Sandbox;
use crate::capabilities::door::Door;
use crate::capabilities::foreign::fermyon::spin::key_value as spin_2;
use crate::capabilities::foreign::spin::key_value::key_value as spin_3;
use crate::capabilities::foreign::wasi::{keyvalue0_2_0_draft as draft, keyvalue0_2_0_draft2 as draft2};
use crate::outside::{Bytes, Question, Refusal};

/// What a function is told that wants to compare and swap.
const NO_CAS: &str = "compare-and-swap is not offered here; `increment` is atomic";

/// An open store.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it, inside of this crate")]
pub struct Bucket {
    door: Door,
    /// The label by which the function opened it.
    label: String,
}

/// What `wasi:keyvalue/atomics.cas` would be. There is none.
#[derive(Clone, Copy, Debug)]
#[expect(unreachable_pub, reason = "as above")]
pub enum Cas {}

type Answer<T> = Result<T, Refusal>;

impl Bucket {
    async fn open(door: Door, label: String) -> Answer<Self> {
        door.ask(Question::KvOpen { store: label.clone() }).await.done()?;
        Ok(Self { door, label })
    }

    async fn get(&self, key: String) -> Answer<Option<Vec<u8>>> {
        let value = self.door.ask(Question::KvGet { store: self.label.clone(), key }).await.value()?;
        Ok(value.map(|value| value.0.to_vec()))
    }

    async fn set(&self, key: String, value: Vec<u8>) -> Answer<()> {
        let value = Bytes(value.into());
        self.door.ask(Question::KvSet { store: self.label.clone(), key, value }).await.done()
    }

    async fn delete(&self, key: String) -> Answer<()> {
        self.door.ask(Question::KvDelete { store: self.label.clone(), key }).await.done()
    }

    async fn exists(&self, key: String) -> Answer<bool> {
        self.door.ask(Question::KvExists { store: self.label.clone(), key }).await.truth()
    }

    async fn get_many(&self, keys: Vec<String>) -> Answer<Vec<(String, Option<Vec<u8>>)>> {
        let mut many = Vec::new();
        for key in keys {
            let value = self.get(key.clone()).await?;
            many.push((key, value));
        }
        Ok(many)
    }

    /// One page of keys, and where the next one begins.
    async fn keys(&self, after: Option<String>) -> Answer<(Vec<String>, Option<String>)> {
        self.door.ask(Question::KvKeys { store: self.label.clone(), after }).await.keys()
    }

    /// All keys. Each page counts as a host call, which bounds them.
    async fn all_keys(&self) -> Answer<Vec<String>> {
        let (mut all, mut more) = self.keys(None).await?;
        while more.is_some() {
            let (keys, next) = self.keys(more).await?;
            all.extend(keys);
            more = next;
        }
        Ok(all)
    }

    async fn increment(&self, key: String, by: i64) -> Answer<i64> {
        self.door.ask(Question::KvIncrement { store: self.label.clone(), key, by }).await.number()
    }
}

impl Sandbox {
    async fn open_bucket(&mut self, label: String) -> wasmtime::Result<Answer<Resource<Bucket>>> {
        match Bucket::open(self.door().clone(), label).await {
            Ok(bucket) => Ok(Ok(self.table.push(bucket)?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.table.get(bucket)?.clone())
    }
}

/// A refusal in the words of one of the interfaces.
macro_rules! refusals {
    ($($error:ty),*) => {$(
        impl From<Refusal> for $error {
            fn from(refusal: Refusal) -> Self {
                match refusal {
                    Refusal::NoSuch(_) => Self::NoSuchStore,
                    Refusal::Denied(_) => Self::AccessDenied,
                    refusal => Self::Other(refusal.to_string()),
                }
            }
        }
    )*};
}

refusals!(draft::store::Error, draft2::store::Error, spin_2::Error, spin_3::Error);

/// The methods that every synchronous store has alike; `$error` is the interface's.
macro_rules! methods {
    ($error:ty) => {
        async fn get(
            &mut self,
            bucket: Resource<Bucket>,
            key: String,
        ) -> wasmtime::Result<Result<Option<Vec<u8>>, $error>> {
            Ok(self.bucket(&bucket)?.get(key).await.map_err(Into::into))
        }

        async fn set(
            &mut self,
            bucket: Resource<Bucket>,
            key: String,
            value: Vec<u8>,
        ) -> wasmtime::Result<Result<(), $error>> {
            Ok(self.bucket(&bucket)?.set(key, value).await.map_err(Into::into))
        }

        async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<(), $error>> {
            Ok(self.bucket(&bucket)?.delete(key).await.map_err(Into::into))
        }

        async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<bool, $error>> {
            Ok(self.bucket(&bucket)?.exists(key).await.map_err(Into::into))
        }

        async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
            self.table.delete(bucket)?;
            Ok(())
        }
    };
}

/// The writing half of `batch`, which both drafts have alike.
macro_rules! batch_writes {
    ($error:ty) => {
        async fn set_many(
            &mut self,
            bucket: Resource<Bucket>,
            pairs: Vec<(String, Vec<u8>)>,
        ) -> wasmtime::Result<Result<(), $error>> {
            let bucket = self.bucket(&bucket)?;
            for (key, value) in pairs {
                if let Err(refusal) = bucket.set(key, value).await {
                    return Ok(Err(refusal.into()));
                }
            }
            Ok(Ok(()))
        }

        async fn delete_many(
            &mut self,
            bucket: Resource<Bucket>,
            keys: Vec<String>,
        ) -> wasmtime::Result<Result<(), $error>> {
            let bucket = self.bucket(&bucket)?;
            for key in keys {
                if let Err(refusal) = bucket.delete(key).await {
                    return Ok(Err(refusal.into()));
                }
            }
            Ok(Ok(()))
        }
    };
}

impl draft::store::Host for Sandbox {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Bucket>, draft::store::Error>> {
        Ok(self.open_bucket(label).await?.map_err(Into::into))
    }
}

impl draft::store::HostBucket for Sandbox {
    methods!(draft::store::Error);

    /// All keys at once: a number cannot say where a page ended among keys that come and go.
    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        _cursor: Option<u64>,
    ) -> wasmtime::Result<Result<draft::store::KeyResponse, draft::store::Error>> {
        let keys = self.bucket(&bucket)?.all_keys().await;
        Ok(keys.map(|keys| draft::store::KeyResponse { keys, cursor: None }).map_err(Into::into))
    }
}

impl draft::atomics::Host for Sandbox {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> wasmtime::Result<Result<u64, draft::store::Error>> {
        let bucket = self.bucket(&bucket)?;
        let Ok(by) = i64::try_from(delta) else {
            return Ok(Err(draft::store::Error::Other(format!("{delta} is more than a number here can hold"))));
        };
        let number = match bucket.increment(key, by).await {
            Ok(number) => number,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        Ok(u64::try_from(number).map_err(|_| draft::store::Error::Other(format!("the number there is {number}"))))
    }
}

impl draft::batch::Host for Sandbox {
    batch_writes!(draft::store::Error);

    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<(String, Vec<u8>)>>, draft::store::Error>> {
        let many = self.bucket(&bucket)?.get_many(keys).await;
        let some = |(key, value): (String, Option<Vec<u8>>)| value.map(|value| (key, value));
        Ok(many.map(|many| many.into_iter().map(some).collect()).map_err(Into::into))
    }
}

impl draft2::store::Host for Sandbox {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Bucket>, draft2::store::Error>> {
        Ok(self.open_bucket(label).await?.map_err(Into::into))
    }
}

impl draft2::store::HostBucket for Sandbox {
    methods!(draft2::store::Error);

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<draft2::store::KeyResponse, draft2::store::Error>> {
        let page = self.bucket(&bucket)?.keys(cursor).await;
        Ok(page.map(|(keys, cursor)| draft2::store::KeyResponse { keys, cursor }).map_err(Into::into))
    }
}

impl draft2::atomics::Host for Sandbox {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, draft2::store::Error>> {
        Ok(self.bucket(&bucket)?.increment(key, delta).await.map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        _value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), draft2::atomics::CasError>> {
        match *self.table.get(&cas)? {}
    }
}

impl draft2::atomics::HostCas for Sandbox {
    async fn new(
        &mut self,
        _bucket: Resource<Bucket>,
        _key: String,
    ) -> wasmtime::Result<Result<Resource<Cas>, draft2::store::Error>> {
        Ok(Err(draft2::store::Error::Other(NO_CAS.into())))
    }

    async fn current(&mut self, cas: Resource<Cas>) -> wasmtime::Result<Result<Option<Vec<u8>>, draft2::store::Error>> {
        match *self.table.get(&cas)? {}
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        match self.table.delete(cas)? {}
    }
}

impl draft2::batch::Host for Sandbox {
    batch_writes!(draft2::store::Error);

    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Option<Vec<u8>>)>, draft2::store::Error>> {
        Ok(self.bucket(&bucket)?.get_many(keys).await.map_err(Into::into))
    }
}

impl spin_2::Host for Sandbox {}

impl spin_2::HostStore for Sandbox {
    methods!(spin_2::Error);

    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Bucket>, spin_2::Error>> {
        Ok(self.open_bucket(label).await?.map_err(Into::into))
    }

    async fn get_keys(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<Result<Vec<String>, spin_2::Error>> {
        Ok(self.bucket(&bucket)?.all_keys().await.map_err(Into::into))
    }
}

impl spin_3::Host for Sandbox {}

impl spin_3::HostStore for Sandbox {
    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

/// Spin's newest methods run beside the function: it may have several under way.
type Beside<T> = Accessor<T, HasSelf<Sandbox>>;

fn bucket_of<T>(accessor: &Beside<T>, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
    accessor.with(|mut access| access.get().bucket(bucket))
}

impl<T> spin_3::HostStoreWithStore<T> for HasSelf<Sandbox> {
    async fn open(accessor: &Beside<T>, label: String) -> wasmtime::Result<Result<Resource<Bucket>, spin_3::Error>> {
        let door = accessor.with(|mut access| access.get().door().clone());
        match Bucket::open(door, label).await {
            Ok(bucket) => Ok(Ok(accessor.with(|mut access| access.get().table.push(bucket))?)),
            Err(refusal) => Ok(Err(refusal.into())),
        }
    }

    async fn get(
        accessor: &Beside<T>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, spin_3::Error>> {
        Ok(bucket_of(accessor, &bucket)?.get(key).await.map_err(Into::into))
    }

    async fn set(
        accessor: &Beside<T>,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), spin_3::Error>> {
        Ok(bucket_of(accessor, &bucket)?.set(key, value).await.map_err(Into::into))
    }

    async fn delete(
        accessor: &Beside<T>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<(), spin_3::Error>> {
        Ok(bucket_of(accessor, &bucket)?.delete(key).await.map_err(Into::into))
    }

    async fn exists(
        accessor: &Beside<T>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<bool, spin_3::Error>> {
        Ok(bucket_of(accessor, &bucket)?.exists(key).await.map_err(Into::into))
    }

    async fn get_keys(
        accessor: &Beside<T>,
        bucket: Resource<Bucket>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), spin_3::Error>>)> {
        let (keys, outcome): (_, Result<(), spin_3::Error>) = match bucket_of(accessor, &bucket)?.all_keys().await {
            Ok(keys) => (keys, Ok(())),
            Err(refusal) => (Vec::new(), Err(refusal.into())),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let outcome = FutureReader::new(&mut access, std::future::ready(Ok::<_, wasmtime::Error>(outcome)))?;
            Ok((keys, outcome))
        })
    }
}
