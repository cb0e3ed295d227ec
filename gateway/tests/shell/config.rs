//! Layers of the configuration, and what each mistake is answered with.

use std::path::PathBuf;

use tandem::config::{Config, DefaultPlan, Loaded, LogFormat, Sources};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn load(toml: &str, env: &[(&str, &str)], set: &[&str]) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tandem.toml");
    std::fs::write(&file, toml).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let set = set.iter().map(|text| (*text).to_owned()).collect();
    Sources { file: Some(file), env, set }.load().map_err(|error| error.to_string())
}

fn refused(toml: &str, env: &[(&str, &str)]) -> String {
    load(toml, env, &[]).expect_err("this configuration must be refused")
}

#[test]
fn nothing_set_means_defaults() {
    assert_eq!(Sources::default().load().unwrap().config, Config::default());
}

#[test]
fn later_layers_win() {
    let toml = "[media]\nshards = 1\n[node]\nname = \"file\"\n[log]\nlevel = \"warn\"";
    let env = [("TANDEM_MEDIA__SHARDS", "2"), ("TANDEM_NODE__NAME", "env"), ("TANDEM_LOG__FORMAT", "json")];
    let config = load(toml, &env, &["media.shards=3"]).unwrap().config;
    assert_eq!((config.media.shards, config.node.name.as_str()), (3, "env"));
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "warn"));
}

#[test]
fn an_empty_variable_unsets_a_key() {
    let config =
        load("[web]\nplain_listen = \"127.0.0.1:80\"", &[("TANDEM_WEB__PLAIN_LISTEN", "")], &[]).unwrap().config;
    assert_eq!(config.web.plain_listen, None);
}

#[test]
fn variables_of_others_are_left_alone() {
    let env = [
        ("TANDEM_SERVICE_HOST", "10.0.0.1"),
        ("TANDEM_PORT", "tcp://10.0.0.1:80"),
        ("TANDEM_CONFIG", "x"),
        ("HOME", "/"),
    ];
    assert_eq!(load("", &env, &[]).unwrap().config, Config::default());
}

#[test]
fn tenants_can_be_made_by_variables_alone() {
    let env = [
        ("TANDEM_TENANT__0__KEYS__0__HS256_SECRET", SECRET),
        ("TANDEM_TENANT__0__NAME", "acme"),
        ("TANDEM_TENANT__0__USERS__0__NAME", "alice"),
        ("TANDEM_TENANT__0__USERS__1__NAME", "bob"),
        ("TANDEM_TENANT__0__DEFAULT_PLAN", "refuse"),
    ];
    let config = load("", &env, &[]).unwrap().config;
    let tenant = &config.tenant[0];
    assert_eq!((tenant.name.as_str(), tenant.default_plan, tenant.users.len()), ("acme", DefaultPlan::Refuse, 2));
    assert_eq!(tenant.keys[0].hs256_secret.as_ref().unwrap().reveal(), SECRET);
}

#[test]
fn the_tenth_entry_comes_after_the_ninth() {
    let names: Vec<_> = (0..12).map(|n| (format!("TANDEM_TENANT__{n}__NAME"), format!("t{n}"))).collect();
    let env: Vec<_> = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = load("", &env, &[]).unwrap().config;
    assert_eq!(config.tenant[11].name, "t11");
}

#[test]
fn paths_in_a_file_are_beside_it() {
    let loaded =
        load("[store]\ndata_dir = \"kept\"\n[tls]\ncertificate = \"/etc/c.pem\"\nkey = \"k.pem\"", &[], &[]).unwrap();
    assert!(loaded.config.store.data_dir.is_absolute() && loaded.config.store.data_dir.ends_with("kept"));
    assert_eq!(loaded.config.tls.certificate, Some(PathBuf::from("/etc/c.pem")));
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one_and_its_section() {
    let table = [
        (
            "[media]\nlistn = \"[::]:1\"",
            "unknown key `media.listn`, did you mean `media.listen`?; [media] has: listen, public_port, shards",
        ),
        ("[meda]\nshards = 1", "unknown key `meda`, did you mean `media`?; the sections are: node, media, web"),
        ("[log]\nxyzzyxyzzy = 1", "unknown key `log.xyzzyxyzzy`; [log] has: format, level"),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.users]]\nnam = \"b\"",
            "`tenant.0.users.0.nam`, did you mean `tenant.0.users.0.name`?",
        ),
    ];
    for (toml, text) in table {
        let error = refused(toml, &[]);
        assert!(error.contains(text) && error.contains("tandem.toml"), "{error}");
    }
    let error = refused("", &[("TANDEM_MEDIA__SHARD", "2")]);
    assert!(
        error.contains(
            "environment variable TANDEM_MEDIA__SHARD: unknown key `media.shard`, did you mean `media.shards`?"
        ),
        "{error}"
    );
}

#[test]
fn a_line_that_may_hold_a_secret_is_not_repeated() {
    let error = refused("[[tenant]]\nname = \"a\"\nkeys = [{ hs256_secret = \"hush-hush }]\n", &[]);
    assert!(error.contains("is not valid TOML, line 3"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn a_wrong_value_is_answered_with_what_would_be_right() {
    let table = [
        ("[media]\nshards = \"two\"", "`media.shards` takes a whole number from 0 to 64; got \"two\""),
        ("[media]\nshards = -1", "got the number -1"),
        ("[media]\nlisten = \"4433\"", "`media.listen` takes an address with a port such as \"127.0.0.1:4433\""),
        ("[log]\nformat = \"xml\"", "`log.format` takes one of \"text\", \"json\"; got \"xml\""),
        ("media = 3", "`media` is a section; write [media], not the number 3"),
        ("[tenant]\nname = \"a\"", "`tenant` is a list of tables; write [[tenant]], not a table"),
        ("[tls]\nnames = \"a\"", "`tls.names` takes a list of texts"),
        (
            "[web]\nplain_listen = \"0.0.0.0:80\"",
            "loopback addresses only: tokens and voice would cross the network unencrypted",
        ),
        ("[tls]\nkey = \"k\"", "`tls.certificate` is missing, and tls.key is set"),
        ("[[tenant]]\nname = \"Acme\"", "`tenant.0.name` is no tenant's name"),
        ("[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"", "taken by another tenant"),
        ("[[tenant]]\nname = \"a\"\n[[tenant.keys]]\nid = \"k\"", "needs exactly one of hs256_secret"),
        ("[[tenant]]\nname = \"a\"\n[[tenant.keys]]\nhs256_secret = \"short\"", "needs 32 bytes or more; got 5"),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.users]]\nname = \"b\"\n[[tenant.users]]\nname = \"b\"",
            "taken by another user",
        ),
    ];
    for (toml, text) in table {
        let error = refused(toml, &[]);
        assert!(error.contains(text), "{toml}\n→ {error}");
    }
    for (name, text) in [
        ("TANDEM_MEDIA__SHARDS__X", "goes too deep"),
        ("TANDEM_MEDIA__", "unknown key"),
        ("TANDEM_TENANT__NAME", "must number an entry of `tenant`, 0 to 0"),
        ("TANDEM_TENANT__7__NAME", "must number an entry of `tenant`, 0 to 0"),
        ("TANDEM_TENANT__0", "is a section; name one of its keys"),
    ] {
        let error = refused("", &[(name, "1")]);
        assert!(error.contains(text) && error.contains(name), "{name}\n→ {error}");
    }
}

#[test]
fn what_is_no_toml_or_not_there_is_said_so() {
    assert!(refused("[media", &[]).contains("is not valid TOML"));
    let error =
        Sources { file: Some("/nowhere/tandem.toml".into()), ..Sources::default() }.load().unwrap_err().to_string();
    assert!(error.contains("cannot read the configuration file /nowhere/tandem.toml"), "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let toml = format!("[[tenant]]\nname = \"acme\"\n[[tenant.keys]]\nid = \"k\"\nhs256_secret = \"{SECRET}\"");
    let loaded = load(&toml, &[], &[]).unwrap();
    let shown = format!("{loaded:?}{}{}", loaded.to_toml(), toml::to_string(&loaded.config).unwrap());
    assert!(!shown.contains(SECRET) && shown.contains("hs256_secret = \"***\""), "{shown}");
    let error = refused("[[tenant]]\nname = \"a\"\n[[tenant.keys]]\nhs256_secret = 31415926535", &[]);
    assert!(!error.contains("31415926535"), "{error}");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let toml = "[node]\nname = \"n\"\n[web]\npublic_host = \"h.example\"\n[[tenant]]\nname = \"acme\"\n[[tenant.keys]]\n\
                ed25519_public = \"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"\n[[tenant.users]]\nname = \"alice\"\ndisplay_name = \"Alice \\\"A\\\"\"";
    let loaded = load(toml, &[("TANDEM_MEDIA__SHARDS", "2")], &[]).unwrap();
    let printed = loaded.to_toml();
    assert!(printed.contains("(environment variable TANDEM_MEDIA__SHARDS)"), "{printed}");
    let mut again = load(&printed, &[], &[]).unwrap().config;
    again.store = loaded.config.store.clone();
    assert_eq!(again, loaded.config);
}

#[test]
fn every_key_of_the_schema_exists_and_the_other_way_round() {
    let printed = Sources::default().load().unwrap().to_toml();
    let written = toml::to_string(&Config::default()).unwrap();
    for key in toml::from_str::<toml::Table>(&written)
        .unwrap()
        .values()
        .filter_map(toml::Value::as_table)
        .flat_map(toml::Table::keys)
    {
        assert!(printed.contains(&format!("\n{key} = ")), "{key} is missing in the schema");
    }
    for section in tandem::config::schema::SECTIONS {
        let mut config = toml::Table::new();
        for key in section.keys {
            config.insert(key.name.to_owned(), toml::Value::Boolean(true));
        }
        // Every key is known to the types: what is wrong is its value.
        let config = toml::Table::from_iter([(section.name.to_owned(), toml::Value::Table(config))]);
        let error = config.try_into::<Config>().unwrap_err().to_string();
        assert!(!error.contains("unknown field"), "{}: {error}", section.name);
    }
}
