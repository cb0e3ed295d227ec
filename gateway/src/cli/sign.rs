//! `tandem sign`: the Ed25519 key that a tenant's components are signed with, and signatures made with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::remote::show::progress;

/// Arguments of `tandem sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tandem sign --new-key acme.pem                          makes a key, prints its public half
  tandem tenant set --signing-key \"$(tandem sign --public acme.pem)\"
  tandem deploy ./router --sign-with acme.pem
  tandem sign --key acme.pem router.wasm                  prints the signature, for other tools")]
#[command(group(clap::ArgGroup::new("what").required(true).args(["new_key", "public", "key"])))]
pub struct SignArgs {
    /// Make a key, and keep it in this file (PEM, PKCS #8) that only you may read.
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// Print the public half of the key in this file.
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
    /// Sign with the key in this file.
    #[arg(long, value_name = "FILE", requires = "component")]
    key: Option<PathBuf>,
    /// The component to sign.
    #[arg(value_name = "COMPONENT.wasm", requires = "key")]
    component: Option<PathBuf>,
}

pub(super) fn run(args: &SignArgs) -> anyhow::Result<()> {
    let public = |key: &SigningKey| STANDARD.encode(key.verifying_key().as_bytes());
    let text = match (&args.new_key, &args.public, &args.key, &args.component) {
        (Some(file), ..) => {
            let key = make_key(file)?;
            progress(&format!("{} is the private half: keep it; the public half:", file.display()));
            public(&key)
        }
        (None, Some(file), ..) => public(&read_key(file)?),
        (None, None, Some(key), Some(component)) => {
            let bytes = std::fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
            signature(&read_key(key)?, &bytes)
        }
        (None, None, ..) => anyhow::bail!("nothing to sign; `tandem sign --help` shows what it does"),
    };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn make_key(file: &Path) -> anyhow::Result<SigningKey> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let key = SigningKey::from_bytes(&rand::random());
    let pem = key.to_pkcs8_pem(LineEnding::LF).context("the key cannot be written as PEM")?;
    // A key that is there already may be the only one that a tenant's gateway believes.
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = made.and_then(|mut made| made.write_all(pem.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(key)
}

/// Reads a private key.
pub(super) fn read_key(file: &Path) -> anyhow::Result<SigningKey> {
    let pem = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let wrong = || {
        format!("{} is no Ed25519 private key (PEM, PKCS #8); `tandem sign --new-key FILE` makes one", file.display())
    };
    SigningKey::from_pkcs8_pem(&pem).map_err(|_| anyhow::anyhow!(wrong()))
}

/// The signature over a component's SHA-256, as the control API takes it.
pub(super) fn signature(key: &SigningKey, component: &[u8]) -> String {
    STANDARD.encode(key.sign(&Sha256::digest(component)).to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_one_over_the_digest() {
        use ed25519_dalek::Verifier as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let made = make_key(&file).unwrap();
        let key = read_key(&file).unwrap();
        assert_eq!(key.to_bytes(), made.to_bytes());
        let bytes: [u8; 64] = STANDARD.decode(signature(&key, b"component")).unwrap().try_into().unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&bytes);
        assert!(key.verifying_key().verify(&Sha256::digest(b"component"), &signature).is_ok());
        assert!(make_key(&file).is_err(), "a key is never overwritten");
        std::fs::write(&file, "hello").unwrap();
        assert!(read_key(&file).unwrap_err().to_string().contains("no Ed25519 private key"));
    }
}
