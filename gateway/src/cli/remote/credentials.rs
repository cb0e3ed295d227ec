//! What `tandem login` remembers: one gateway, one tenant, one token, in a file that nobody else may read.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Names another file than the usual one.
const CREDENTIALS_VARIABLE: &str = "TANDEM_CREDENTIALS";

/// What is remembered. A local node is remembered by its folder, since its certificate is renewed and its ports may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Credentials {
    /// `https://host:9443`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// The SHA-256 of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// A PEM file with the authority that signed its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// A node on this machine, by its data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    /// The control token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

/// Where they are kept: `$TANDEM_CREDENTIALS`, else `$XDG_CONFIG_HOME/tandem/credentials.toml`, else below `~/.config`.
pub(crate) fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = || variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    variable(CREDENTIALS_VARIABLE).or_else(|| folder().map(|folder| folder.join("tandem").join("credentials.toml")))
}

impl Credentials {
    /// What is remembered; nothing when nobody logged in.
    ///
    /// # Errors
    /// When the file cannot be read, or others may read it.
    pub(crate) fn load() -> anyhow::Result<Self> {
        path().map_or_else(|| Ok(Self::default()), |path| Self::read(&path))
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            metadata => metadata.with_context(|| format!("cannot read {}", path.display()))?,
        };
        anyhow::ensure!(
            metadata.permissions().mode() & 0o077 == 0,
            "{} holds a token and others may read it; `chmod 600 {0}`, and make a new token if somebody did",
            path.display()
        );
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let wrong = || format!("{} is damaged; `tandem login` writes it anew", path.display());
        // The parser's own message would repeat the line, and so perhaps the token.
        toml::from_str(&text).map_err(|_| anyhow::anyhow!(wrong()))
    }

    /// Remembers them, for this user alone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unfinished = path.with_extension("toml.new");
        let write = || {
            std::fs::create_dir_all(folder)?;
            let _ = std::fs::remove_file(&unfinished);
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(toml::to_string(self).map_err(std::io::Error::other)?.as_bytes())?;
            std::fs::rename(&unfinished, path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/credentials.toml");
        assert_eq!(Credentials::read(&path).unwrap(), Credentials::default());
        let kept = Credentials { tenant: Some("acme".into()), token: Some("tdm_x".into()), ..Credentials::default() };
        for _ in 0..2 {
            kept.save(&path).unwrap();
            assert_eq!(Credentials::read(&path).unwrap(), kept);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Credentials::read(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn a_damaged_file_is_named_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.toml");
        Credentials::default().save(&path).unwrap();
        std::fs::write(&path, "token = tdm_secret").unwrap();
        let error = format!("{:#}", Credentials::read(&path).unwrap_err());
        assert!(error.contains("is damaged") && !error.contains("tdm_secret"), "{error}");
    }
}
