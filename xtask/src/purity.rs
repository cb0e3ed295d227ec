//! The proof that the core is pure: built for a target that has no system at all, a program that plays a whole call through it
//! imports nothing: no clock, no randomness, no socket.

use crate::command::{Outcome, cargo, execute, target};

const TARGET: &str = "wasm32-unknown-unknown";
const PROGRAM: &str = "a_call";

/// Builds the core's example for bare Wasm and reads its imports.
pub(crate) fn check() -> Outcome {
    execute(cargo(&["build", "--package", "tandem-switch", "--example", PROGRAM, "--target", TARGET]))?;
    let path = target().join(TARGET).join("debug/examples").join(format!("{PROGRAM}.wasm"));
    let module = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let imports = imports(&module).ok_or_else(|| format!("{} is not a Wasm module", path.display()))?;
    if imports.is_empty() {
        println!("  tandem-switch imports nothing ({} bytes of Wasm)", module.len());
        return Ok(());
    }
    Err(format!("tandem-switch must not import anything, but does: {}", imports.join(", ")))
}

/// The names of a module's imports (WebAssembly core specification, section 5.5.5); `None` when it is no module.
fn imports(module: &[u8]) -> Option<Vec<String>> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = unsigned(after)?;
        let (section, after) = after.split_at_checked(size)?;
        if id == 2 {
            return import_names(section);
        }
        rest = after;
    }
    Some(Vec::new())
}

/// Reads the first import's names and counts the others: enough to name the culprit.
fn import_names(section: &[u8]) -> Option<Vec<String>> {
    let (count, rest) = unsigned(section)?;
    if count == 0 {
        return Some(Vec::new());
    }
    let (module, rest) = name(rest)?;
    let (item, _) = name(rest)?;
    let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    Some(vec![format!("{module}.{item}{others}")])
}

fn name(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = unsigned(bytes)?;
    let (name, rest) = rest.split_at_checked(length)?;
    Some((String::from_utf8_lossy(name).into_owned(), rest))
}

/// An unsigned LEB128 number.
fn unsigned(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn an_import_is_found_and_named() {
        let section = b"\x01\x03env\x03now\x00\x00";
        let module = [HEAD, &[1, 1, 0], &[2, u8::try_from(section.len()).unwrap()], section].concat();
        assert_eq!(imports(&module), Some(vec!["env.now".to_owned()]));
    }

    #[test]
    fn a_module_without_imports_has_none() {
        assert_eq!(imports(&[HEAD, &[1, 1, 0]].concat()), Some(vec![]));
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_no_module() {
        assert_eq!(imports(b"hello"), None);
        assert_eq!(imports(&[HEAD, &[1, 9, 0]].concat()), None);
    }
}
