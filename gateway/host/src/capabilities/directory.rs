//! Our `directory`: who is reachable, how long a queue is, how full a room.

use wasmtime::component::{Accessor, HasSelf};

use crate::capabilities::Sandbox;
use crate::capabilities::foreign::tandem::voice::directory::{Error, Host, HostWithStore};
use crate::outside::{Question, Refusal};

impl Host for Sandbox {}

impl<T> HostWithStore<T> for HasSelf<Sandbox> {
    async fn reachable(accessor: &Accessor<T, Self>, user: String) -> wasmtime::Result<Result<u32, Error>> {
        count(accessor, Question::Reachable { user }).await
    }

    async fn queue_length(accessor: &Accessor<T, Self>, queue: String) -> wasmtime::Result<Result<u32, Error>> {
        count(accessor, Question::QueueLength { queue }).await
    }

    async fn room_occupancy(accessor: &Accessor<T, Self>, room: String) -> wasmtime::Result<Result<u32, Error>> {
        count(accessor, Question::RoomOccupancy { room }).await
    }
}

async fn count<T>(
    accessor: &Accessor<T, HasSelf<Sandbox>>,
    question: Question,
) -> wasmtime::Result<Result<u32, Error>> {
    let door = accessor.with(|mut access| access.get().door().clone());
    Ok(match door.ask(question).await.number() {
        // Nobody counts below zero, or beyond what a node holds.
        Ok(number) => Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX)),
        Err(Refusal::NoSuch(what)) => Err(Error::NoSuch(what)),
        Err(Refusal::OverLimit(what)) => Err(Error::OverLimit(what)),
        Err(refusal) => Err(Error::Failed(refusal.to_string())),
    })
}
