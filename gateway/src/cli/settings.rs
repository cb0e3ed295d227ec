//! Where the configuration is: the same options for every subcommand that reads it.

use std::path::PathBuf;

use crate::config::{ConfigError, Loaded, Sources};

/// Names the configuration file for those who start without `--config`.
const CONFIG_VARIABLE: &str = "TANDEM_CONFIG";

/// Options of the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Settings {
    /// The TOML file; else the one that TANDEM_CONFIG names; else defaults. TANDEM_<SECTION>__<KEY> overrides a key.
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Override one key, such as media.shards=2; repeat for more.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl Settings {
    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        let from_variable = || std::env::var_os(CONFIG_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        let file = self.config.clone().or_else(from_variable);
        Sources { file, env: Sources::environment(), set: self.set.clone() }.load()
    }
}
