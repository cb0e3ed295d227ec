//! Which of the contract's worlds a component is made for, and how one asks it there.

use tandem_switch::event::{Context, Event};
use tandem_switch::plan::Plan;
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::bindings::RouterPre;
use crate::bindings::blocking::BlockingRouterPre;
use crate::bindings::tandem::voice::types as wit;
use crate::capabilities::Sandbox;
use crate::convert;
use crate::http;
use crate::limits;
use crate::outcome::{NoAnswer, shortened};

/// Which of the worlds that the gateway runs a component is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Exports `route` as an asynchronous function (world `router`).
    Router,
    /// Exports `route` as a synchronous function (world `blocking-router`), for languages whose tools have no asynchronous ones.
    BlockingRouter,
    /// Serves `wasi:http` 0.2 (`incoming-handler`).
    Http02,
    /// Serves `wasi:http` 0.3 (`handler`), as spin-sdk 7 makes it.
    Http03,
}

impl Kind {
    /// Its name: `router`, `blocking-router`, `http-0.2` or `http-0.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::BlockingRouter => "blocking-router",
            Self::Http02 => "http-0.2",
            Self::Http03 => "http-0.3",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A component, linked, whose exports were found to fit a world.
#[derive(Clone)]
pub(crate) enum World {
    Router(RouterPre<Sandbox>),
    BlockingRouter(BlockingRouterPre<Sandbox>),
    Http02(ProxyPre<Sandbox>),
    Http03(ServicePre<Sandbox>),
}

impl World {
    /// # Errors
    /// When an export has another shape than the world says.
    pub(crate) fn new(kind: Kind, component: InstancePre<Sandbox>) -> wasmtime::Result<Self> {
        Ok(match kind {
            Kind::Router => Self::Router(RouterPre::new(component)?),
            Kind::BlockingRouter => Self::BlockingRouter(BlockingRouterPre::new(component)?),
            Kind::Http02 => Self::Http02(ProxyPre::new(component)?),
            Kind::Http03 => Self::Http03(ServicePre::new(component)?),
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Router(_) => Kind::Router,
            Self::BlockingRouter(_) => Kind::BlockingRouter,
            Self::Http02(_) => Kind::Http02,
            Self::Http03(_) => Kind::Http03,
        }
    }

    fn instance_pre(&self) -> &InstancePre<Sandbox> {
        match self {
            Self::Router(pre) => pre.instance_pre(),
            Self::BlockingRouter(pre) => pre.instance_pre(),
            Self::Http02(pre) => pre.instance_pre(),
            Self::Http03(pre) => pre.instance_pre(),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.instance_pre().component().engine()
    }

    /// Makes an instance and asks it nothing.
    ///
    /// # Errors
    /// When it traps as it starts, or there is no place for it.
    pub(crate) async fn start(&self, store: &mut Store<Sandbox>) -> wasmtime::Result<()> {
        self.instance_pre().instantiate_async(store).await.map(|_instance| ())
    }

    /// The question in this world's form.
    pub(crate) fn question(&self, context: &Context, event: &Event) -> Question {
        let typed = || (convert::context(context), convert::event(event));
        match self {
            Self::Router(pre) => Question::Router(pre.clone(), typed()),
            Self::BlockingRouter(pre) => Question::BlockingRouter(pre.clone(), typed()),
            Self::Http02(pre) => Question::Http02(pre.clone(), http::question(context, event)),
            Self::Http03(pre) => Question::Http03(pre.clone(), http::question(context, event)),
        }
    }
}

/// Parameters of `route`.
type Typed = (wit::Context, wit::Event);

/// A component and what it is asked; borrows nothing, so that it may change threads.
pub(crate) enum Question {
    Router(RouterPre<Sandbox>, Typed),
    BlockingRouter(BlockingRouterPre<Sandbox>, Typed),
    Http02(ProxyPre<Sandbox>, http::Question),
    Http03(ServicePre<Sandbox>, http::Question),
}

impl Question {
    /// Asks a fresh instance.
    pub(crate) async fn ask(self, store: &mut Store<Sandbox>, answer_bytes_max: usize) -> Result<Plan, NoAnswer> {
        match self {
            Self::Router(pre, (context, event)) => {
                let router = pre.instantiate_async(&mut *store).await?;
                let route = async |accessor: &_| router.call_route(accessor, context, event).await;
                plan(store.run_concurrent(route).await??)
            }
            Self::BlockingRouter(pre, (context, event)) => {
                let router = pre.instantiate_async(&mut *store).await?;
                plan(router.call_route(store, &context, &event).await?)
            }
            Self::Http02(pre, question) => http::ask_02(store, &pre, question, answer_bytes_max).await,
            Self::Http03(pre, question) => http::ask_03(store, &pre, question, answer_bytes_max).await,
        }
    }
}

fn plan(answer: Result<wit::Plan, wit::Error>) -> Result<Plan, NoAnswer> {
    answer.map(convert::plan).map_err(|error| {
        let why = shortened(error.message, limits::ERROR_BYTES_MAX);
        NoAnswer::Said(tandem_switch::exchange::ConsultFailure::Refused(why))
    })
}
