//! From a component's bytes to a function that can be asked: checked against the contract before anybody depends on it.
//!
//! Checks, cheapest first: size, header, completeness; then what wasmtime's validation and compilation say; then exports and imports; then
//! whether an instance starts. Each refusal says in plain words what is wrong and, where one knows, what to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tandem_switch::exchange::ConsultFailure;
use tandem_switch::time::UnixMillis;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::capabilities;
use crate::compile::Code;
use crate::digest::Digest;
use crate::host::Host;
use crate::instance::Nursery;
use crate::invoke::Conditions;
use crate::limits;
use crate::meter::{Meter, Metered};
use crate::outcome::{failure, shortened};
use crate::outside::Nothing;
use crate::world::{Kind, World};

/// The export of a function in the typed worlds.
const ROUTE: &str = "route";

/// How much of wasmtime's own words an error repeats, bytes.
const DETAIL_BYTES_MAX: usize = 512;

/// Where a function's compiled code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled just now.
    Compiled,
    /// It was compiled before and mapped from the cache.
    Cached,
}

/// One version of a tenant's function, compiled and checked. Costs no memory of the instance pool until it is asked.
pub struct Function {
    digest: Digest,
    bytes: usize,
    imports: Vec<String>,
    origin: Origin,
    kind: Kind,
    /// Compiled fast, until it is compiled well.
    world: RwLock<World>,
    is_compiled_well: AtomicBool,
    /// This function's share of the host's invocations.
    pub(crate) share: Arc<Semaphore>,
}

impl Function {
    /// What the component's bytes are known by.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Which world it is made for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it imports, by full name, in its own order.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The component's size, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where its compiled code came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether invocations from now on run what was compiled well.
    pub fn is_compiled_well(&self) -> bool {
        self.is_compiled_well.load(Ordering::Relaxed)
    }

    /// The component as it is compiled now.
    pub(crate) fn world(&self) -> World {
        self.world.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is compiled well: invocations from now on run that.
    pub(crate) fn improve(&self, world: World) {
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = world;
        self.is_compiled_well.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("digest", &self.digest).field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// What a component is, for `tandem check`.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What its bytes are known by.
    pub digest: Digest,
    /// Its size, bytes.
    pub bytes: usize,
    /// What it imports, by full name, in its own order.
    pub imports: Vec<String>,
    /// What it exports, likewise.
    pub exports: Vec<String>,
    /// Which world it is made for, or why the gateway would refuse it.
    pub kind: Result<Kind, LoadError>,
}

impl Inspection {
    /// Whether the gateway would load it, in plain words.
    pub fn verdict(&self) -> String {
        match &self.kind {
            Ok(kind) => format!("it is a routing function (world `{kind}`), and this gateway loads it"),
            Err(refusal) => format!("this gateway does not load it: {refusal}"),
        }
    }
}

/// Why a component is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is larger than it may be.
    #[error("the component has {bytes} bytes; the limit is {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The bytes are no WebAssembly at all.
    #[error("this is not WebAssembly: it does not begin with `\\0asm`")]
    NotWasm,
    /// A plain module.
    #[error("this is a core WebAssembly module, not a component; build it with `--target wasm32-wasip2`")]
    CoreModule,
    /// The end is missing.
    #[error("the component is cut off after {bytes} bytes; was the upload interrupted?")]
    Truncated {
        /// How many bytes there are.
        bytes: usize,
    },
    /// The bytes break WebAssembly's rules, or ask for more than an instance may have.
    #[error("the component is not valid here: {0}")]
    Invalid(String),
    /// It imports what the contract does not offer.
    #[error("the component imports what a function may not use: {names}", names = names(.0))]
    ForeignImports(Vec<String>),
    /// It imports an allowed interface in a shape that this gateway does not have.
    #[error("an import of the component does not fit this gateway: {0}")]
    Unlinkable(String),
    /// It is no routing function.
    #[error(
        "the component exports neither `route` nor a `wasi:http` handler, so it cannot be asked; it exports {names}",
        names = names(.0)
    )]
    NoRoute(Vec<String>),
    /// It serves a candidate of WASI 0.3.
    #[error("the component serves `{0}`, a candidate of WASI 0.3, as spin-sdk 6 makes it; rebuild it with spin-sdk 7")]
    OutdatedHandler(String),
    /// Its HTTP handler is something else.
    #[error("the component's `wasi:http` handler does not have that interface's shape: {0}")]
    WrongHandler(String),
    /// It traps, or computes too long, before anybody asks it anything.
    #[error("the component does not start: {0}")]
    DoesNotStart(String),
    /// There is no place to try it.
    #[error("the gateway is too busy to try the component; load it again in a moment")]
    Busy,
    /// Its `route` is something else.
    #[error(
        "the component's `route` is not `func(context, event) -> result<plan, error>` of tandem:voice@0.1.0, `async` or not: {0}"
    )]
    WrongRoute(String),
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn detail(error: &wasmtime::Error) -> String {
    shortened(format!("{error:#}"), DETAIL_BYTES_MAX)
}

impl Host {
    /// Takes a component's compiled code from the cache, or compiles it, checks it against the contract, and starts a fresh one once to see
    /// that it can be. What is compiled here is compiled fast; the same function is compiled well in the background. Takes the processor for
    /// up to some seconds: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// When the gateway cannot run it; says why in plain words.
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<Function>, LoadError> {
        check_bytes(bytes, self.limits().component_bytes_max)?;
        let digest = Digest::of(bytes);
        let ((compiled, world), room) = match (self.cached(digest), self.optimiser.room(bytes.len())) {
            (Some(cached), _) => (self.checked(cached)?, None),
            (None, Some(room)) => match self.compiled_fast(bytes).map(|fast| self.checked(fast)) {
                Some(Ok(fast)) => (fast, Some(room)),
                // It may be the compiler's fault: its code needs more stack, for one.
                None | Some(Err(LoadError::DoesNotStart(_))) => (self.checked(self.compiled_well(bytes)?)?, None),
                Some(Err(refusal)) => return Err(refusal),
            },
            (None, None) => (self.checked(self.compiled_well(bytes)?)?, None),
        };
        if let Some(code) = compiled.to_keep
            && let Some(cache) = &self.cache
        {
            cache.keep(digest, code.bytes());
        }
        let function = Arc::new(Function {
            digest,
            bytes: bytes.len(),
            imports: import_names(&compiled.component),
            origin: compiled.origin,
            kind: world.kind(),
            world: RwLock::new(world),
            is_compiled_well: AtomicBool::new(room.is_none()),
            share: Arc::new(Semaphore::new((self.limits().invocations_max / limits::FUNCTION_SHARE).max(1) as usize)),
        });
        if let Some(room) = room {
            self.optimiser.improve(&function, bytes.to_vec(), room);
        }
        Ok(function)
    }

    /// Says what a component is and whether [`Host::load`] would take it. Compiles it well, so that the verdict is the
    /// same on every processor: it takes longer than that.
    ///
    /// # Errors
    /// When it is no valid component, so that nothing can be said about it.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, LoadError> {
        check_bytes(bytes, self.limits().component_bytes_max)?;
        let digest = Digest::of(bytes);
        let compiled = self.cached(digest).map_or_else(|| self.compiled_well(bytes), Ok)?;
        Ok(Inspection {
            digest,
            bytes: bytes.len(),
            imports: import_names(&compiled.component),
            exports: export_names(&compiled.component),
            kind: self.check(&compiled).map(|world| world.kind()),
        })
    }

    fn cached(&self, digest: Digest) -> Option<Compiled> {
        let component = self.cache.as_ref()?.find(&self.nursery.engine, digest)?;
        Some(Compiled { component, origin: Origin::Cached, to_keep: None })
    }

    /// `None` when the fast compiler does not take it: it does not know all of WebAssembly, and who is to be told what is wrong with a
    /// component is told so by the other one.
    fn compiled_fast(&self, bytes: &[u8]) -> Option<Compiled> {
        let component = Component::from_binary(self.nursery.baseline.as_ref()?, bytes).ok()?;
        Some(Compiled { component, origin: Origin::Compiled, to_keep: None })
    }

    fn compiled_well(&self, bytes: &[u8]) -> Result<Compiled, LoadError> {
        let engine = &self.nursery.engine;
        let invalid = |error: wasmtime::Error| LoadError::Invalid(detail(&error));
        let code = Code::of(engine, bytes).map_err(invalid)?;
        let component = code.component(engine).map_err(invalid)?;
        Ok(Compiled { component, origin: Origin::Compiled, to_keep: Some(code) })
    }

    fn checked(&self, compiled: Compiled) -> Result<(Compiled, World), LoadError> {
        let world = self.check(&compiled)?;
        Ok((compiled, world))
    }

    /// Holds a component against the contract. What comes from the cache has started before.
    fn check(&self, compiled: &Compiled) -> Result<World, LoadError> {
        let Compiled { component, origin, .. } = compiled;
        let kind = kind(component);
        // Such a component imports candidates, too; this says what to do about it.
        if let Err(outdated @ LoadError::OutdatedHandler(_)) = kind {
            return Err(outdated);
        }
        let foreign: Vec<_> =
            import_names(component).into_iter().filter(|name| !capabilities::is_allowed(name)).collect();
        if !foreign.is_empty() {
            return Err(LoadError::ForeignImports(foreign));
        }
        let kind = kind?;
        let is_fast = !Engine::same(component.engine(), &self.nursery.engine);
        let linker = self.baseline_linker.as_ref().filter(|_| is_fast).unwrap_or(&self.linker);
        let linked = linker.instantiate_pre(component).map_err(|error| LoadError::Unlinkable(detail(&error)))?;
        let world = World::new(kind, linked).map_err(|error| match kind {
            Kind::Router | Kind::BlockingRouter => LoadError::WrongRoute(detail(&error)),
            Kind::Http02 | Kind::Http03 => LoadError::WrongHandler(detail(&error)),
        })?;
        if *origin == Origin::Compiled {
            self.try_start(world.clone())?;
        }
        Ok(world)
    }

    /// Makes one instance, on the slow lane, and waits for it.
    fn try_start(&self, world: World) -> Result<(), LoadError> {
        let (outcome, told) = std::sync::mpsc::sync_channel(1);
        let trial = started(self.nursery.clone(), self.conditions(Arc::new(Nothing)), world);
        self.nursery.slow.spawn(async move {
            // Nobody else holds the other end, and it waits.
            let _ = outcome.send(trial.await);
        });
        told.recv().unwrap_or_else(|_| Err(LoadError::DoesNotStart("the host panicked".into())))
    }
}

/// A component and where its code comes from.
struct Compiled {
    component: Component,
    origin: Origin,
    /// Code that is worth keeping, once the component is found to be good.
    to_keep: Option<Code>,
}

/// Starts an instance with nothing around it, within the limits of an invocation.
async fn started(nursery: Nursery, conditions: Conditions, world: World) -> Result<(), LoadError> {
    let place = nursery.place(None).await.ok_or(LoadError::Busy)?;
    let meter = Arc::new(Meter::default());
    let mut instance = nursery.instance(world.engine(), &conditions, UnixMillis::default(), Arc::clone(&meter), place);
    let starting = async {
        let started = tokio::time::timeout(conditions.deadline, world.start(&mut instance)).await;
        let failure = match started {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => failure(&error, &instance.data().memory, nursery.limits.answer_bytes_max),
            Err(_) => ConsultFailure::DeadlineExceeded(conditions.deadline),
        };
        Err(if failure == ConsultFailure::Overloaded {
            LoadError::Busy
        } else {
            LoadError::DoesNotStart(failure.to_string())
        })
    };
    Metered::new(meter, starting).await
}

/// Which world a component is made for, by the names of its exports. The typed one comes first, since it is the faster.
fn kind(component: &Component) -> Result<Kind, LoadError> {
    let ty = component.component_type();
    match ty.get_export(component.engine(), ROUTE).map(|export| export.ty) {
        Some(ComponentItem::ComponentFunc(func)) if func.async_() => return Ok(Kind::Router),
        Some(ComponentItem::ComponentFunc(_)) => return Ok(Kind::BlockingRouter),
        Some(_) => return Err(LoadError::WrongRoute("it is not a function".into())),
        None => {}
    }
    handler(export_names(component))
}

/// Which HTTP handler is among these exports.
fn handler(exports: Vec<String>) -> Result<Kind, LoadError> {
    let released = |export: &str| !export.contains('-');
    let mut outdated = None;
    let mut found = None;
    for export in &exports {
        match export.split_once('@') {
            Some(("wasi:http/handler", version)) if version.starts_with("0.3.") && released(version) => {
                return Ok(Kind::Http03);
            }
            Some(("wasi:http/handler", version)) if version.starts_with("0.3.") => outdated = Some(export.clone()),
            Some(("wasi:http/incoming-handler", version)) if version.starts_with("0.2.") && released(version) => {
                found = Some(Kind::Http02);
            }
            _ => {}
        }
    }
    match (found, outdated) {
        (Some(kind), _) => Ok(kind),
        (None, Some(export)) => Err(LoadError::OutdatedHandler(export)),
        (None, None) => Err(LoadError::NoRoute(exports)),
    }
}

fn import_names(component: &Component) -> Vec<String> {
    component.component_type().imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

fn export_names(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

/// The preamble of a component and of a module (WebAssembly component model, `Binary.md`; core specification, 5.5.16).
const MAGIC: &[u8] = b"\0asm";
const MODULE_LAYER: [u8; 4] = [1, 0, 0, 0];

fn check_bytes(bytes: &[u8], max: usize) -> Result<(), LoadError> {
    if bytes.len() > max {
        return Err(LoadError::TooLarge { bytes: bytes.len(), max });
    }
    let truncated = LoadError::Truncated { bytes: bytes.len() };
    let Some((magic, rest)) = bytes.split_at_checked(MAGIC.len()) else {
        return Err(if !bytes.is_empty() && MAGIC.starts_with(bytes) { truncated } else { LoadError::NotWasm });
    };
    if magic != MAGIC {
        return Err(LoadError::NotWasm);
    }
    let Some((layer, sections)) = rest.split_at_checked(MODULE_LAYER.len()) else {
        return Err(truncated);
    };
    if layer == MODULE_LAYER {
        return Err(LoadError::CoreModule);
    }
    if is_complete(sections) { Ok(()) } else { Err(truncated) }
}

/// Whether every section (an id, a length, that many bytes) is all there. What is in them is wasmtime's to judge.
fn is_complete(mut sections: &[u8]) -> bool {
    while !sections.is_empty() {
        let mut reader = wasmparser::BinaryReader::new(sections, 0);
        let Ok(length) = reader.read_u8().and_then(|_id| reader.read_var_u32()) else {
            return false;
        };
        let Some(rest) = sections.get(reader.current_position()..).and_then(|body| body.get(length as usize..)) else {
            return false;
        };
        sections = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn component(sections: &[u8]) -> Vec<u8> {
        [COMPONENT, sections].concat()
    }

    #[test]
    fn bytes_that_cannot_be_a_component_are_told_apart() {
        let table: [(Vec<u8>, Result<(), LoadError>); 9] = [
            (vec![], Err(LoadError::NotWasm)),
            (b"\0as".to_vec(), Err(LoadError::Truncated { bytes: 3 })),
            (b"\0asm\x0d".to_vec(), Err(LoadError::Truncated { bytes: 5 })),
            (b"#!/bin/sh\n".to_vec(), Err(LoadError::NotWasm)),
            (b"\0asm\x01\0\0\0".to_vec(), Err(LoadError::CoreModule)),
            (component(&[]), Ok(())),
            (component(&[0, 2, 1, b'x']), Ok(())),
            (component(&[0, 3, 1, b'x']), Err(LoadError::Truncated { bytes: 12 })),
            (component(&[0, 0x80]), Err(LoadError::Truncated { bytes: 10 })),
        ];
        for (bytes, expected) in table {
            assert_eq!(check_bytes(&bytes, 100), expected, "{bytes:?}");
        }
        assert_eq!(check_bytes(&[0; 101], 100), Err(LoadError::TooLarge { bytes: 101, max: 100 }));
    }

    #[test]
    fn a_handler_is_known_by_its_name_and_version() {
        let outdated = |name: &str| Err(LoadError::OutdatedHandler(name.into()));
        let (old, new) = ("wasi:http/incoming-handler@0.2.6", "wasi:http/handler@0.3.0");
        let candidate = "wasi:http/handler@0.3.0-rc-2026-03-15";
        let table = [
            (vec![old], Ok(Kind::Http02)),
            (vec![new], Ok(Kind::Http03)),
            (vec![old, new], Ok(Kind::Http03)),
            (vec![candidate], outdated(candidate)),
            (vec![candidate, old], Ok(Kind::Http02)),
        ];
        for (exports, expected) in table {
            let exports: Vec<String> = exports.into_iter().map(str::to_owned).collect();
            assert_eq!(handler(exports.clone()), expected, "{exports:?}");
        }
        let others = vec!["wasi:cli/run@0.2.6".to_owned(), "wasi:http/handler@0.4.0".to_owned()];
        assert_eq!(handler(others.clone()), Err(LoadError::NoRoute(others)));
    }
}
