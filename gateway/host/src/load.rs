//! From a component's bytes to a function that can be asked: checked against the contract before anybody depends on it.
//!
//! Checks, cheapest first: size, header, completeness; then what wasmtime's validation and compilation say; then imports and exports. Each
//! refusal says in plain words what is wrong and, where one knows, what to do.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::RouterPre;
use crate::capabilities::{self, Sandbox};
use crate::digest::Digest;
use crate::host::Host;
use crate::limits;
use crate::outcome::shortened;

/// The export that every routing function has.
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

/// One version of a tenant's function, compiled and checked. Costs no memory of the instance pool until it is asked.
pub struct Function {
    digest: Digest,
    origin: Origin,
    kind: Kind,
    pub(crate) pre: RouterPre<Sandbox>,
    /// This function's share of the host's invocations.
    pub(crate) permits: Semaphore,
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

    /// Where its compiled code came from.
    pub fn origin(&self) -> Origin {
        self.origin
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
    /// Why the gateway would refuse it; `None` when it would not.
    pub refusal: Option<LoadError>,
}

impl Inspection {
    /// Whether the gateway would load it, in plain words.
    pub fn verdict(&self) -> String {
        match &self.refusal {
            None => "it is a routing function, and this gateway loads it".into(),
            Some(refusal) => format!("this gateway does not load it: {refusal}"),
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
    #[error("the component does not export `route`; it exports {names}", names = names(.0))]
    NoRoute(Vec<String>),
    /// Its `route` is something else.
    #[error(
        "the component's `route` is not `async func(context, event) -> result<plan, error>` of tandem:voice@0.1.0: {0}"
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
    /// Compiles a component, or takes its compiled code from the cache, and checks it against the contract. Takes the processor for up
    /// to some seconds: call it from `spawn_blocking`.
    ///
    /// # Errors
    /// When the gateway cannot run it; says why in plain words.
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<Function>, LoadError> {
        let (component, digest, origin) = self.component(bytes)?;
        let pre = self.check(&component)?;
        let share = (self.limits.invocations_max / limits::FUNCTION_SHARE).max(1);
        Ok(Arc::new(Function { digest, origin, kind: Kind::Router, pre, permits: Semaphore::new(share as usize) }))
    }

    /// Says what a component is and whether [`Host::load`] would take it. As slow as that.
    ///
    /// # Errors
    /// When it is no valid component, so that nothing can be said about it.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, LoadError> {
        let (component, digest, _) = self.component(bytes)?;
        Ok(Inspection {
            digest,
            bytes: bytes.len(),
            imports: import_names(&component),
            exports: export_names(&component),
            refusal: self.check(&component).err(),
        })
    }

    fn component(&self, bytes: &[u8]) -> Result<(Component, Digest, Origin), LoadError> {
        check_bytes(bytes, self.limits.component_bytes_max)?;
        let digest = Digest::of(bytes);
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, digest)) {
            return Ok((component, digest, Origin::Cached));
        }
        let component = Component::new(&self.engine, bytes).map_err(|error| LoadError::Invalid(detail(&error)))?;
        if let Some(cache) = &self.cache {
            cache.keep(digest, &component);
        }
        Ok((component, digest, Origin::Compiled))
    }

    /// Holds a component against the contract.
    fn check(&self, component: &Component) -> Result<RouterPre<Sandbox>, LoadError> {
        let foreign: Vec<_> =
            import_names(component).into_iter().filter(|name| !capabilities::is_allowed(name)).collect();
        if !foreign.is_empty() {
            return Err(LoadError::ForeignImports(foreign));
        }
        check_route(component)?;
        let pre: InstancePre<Sandbox> =
            self.linker.instantiate_pre(component).map_err(|error| LoadError::Unlinkable(detail(&error)))?;
        RouterPre::new(pre).map_err(|error| LoadError::WrongRoute(detail(&error)))
    }
}

/// The type check of the bindings compares parameters and results only; this adds that `route` is there, and asynchronous.
fn check_route(component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    match ty.get_export(component.engine(), ROUTE).map(|export| export.ty) {
        None => Err(LoadError::NoRoute(export_names(component))),
        Some(ComponentItem::ComponentFunc(func)) if func.async_() => Ok(()),
        Some(ComponentItem::ComponentFunc(_)) => Err(LoadError::WrongRoute("it is not async".into())),
        Some(_) => Err(LoadError::WrongRoute("it is not a function".into())),
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
}
