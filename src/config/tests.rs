//! Bad input is refused with what to do; later layers win; secrets never show.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;

fn of(environment: &[(&str, &str)]) -> Sources {
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Sources {
        file: None,
        environment,
        flags: Vec::new(),
    }
}

fn with_file(text: &str) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("subledger.toml");
    std::fs::write(&path, text).unwrap();
    (
        folder,
        Sources {
            file: Some(path),
            ..Sources::default()
        },
    )
}

fn refusal(sources: &Sources) -> String {
    Config::load(sources).err().expect("it should be refused").to_string()
}

#[test]
fn nothing_set_gives_sqlite_on_loopback() {
    let config = Config::load(&of(&[])).unwrap();
    assert!(config.store.url.is_none());
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.public_url, "http://127.0.0.1:8080");
    assert_eq!(config.stripe.mode, Mode::Test);
    assert!(config.portal.jwt.is_none());
}

#[test]
fn later_layers_win_and_an_empty_variable_counts_as_unset() {
    let (_folder, mut sources) = with_file("[http]\nlisten = \"127.0.0.1:1000\"\n[worker]\npoll_ms = 100\n");
    sources.environment = vec![
        ("SUBLEDGER__WORKER__POLL_MS".into(), "200".into()),
        ("SUBLEDGER__HTTP__LISTEN".into(), String::new()),
    ];
    sources.flags = vec![("worker.poll_ms".into(), "300".into())];
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.http.listen.port(), 1000);
    assert_eq!(config.worker.poll_ms, 300);
}

#[test]
fn every_bad_value_is_refused_with_its_key() {
    let long = "x".repeat(40);
    let cases: &[(&str, &str, &str)] = &[
        ("SUBLEDGER__HTTP__LISTEN", "8080", "http.listen must be an address"),
        (
            "SUBLEDGER__HTTP__PUBLIC_URL",
            "http://billing.example.com",
            "must be https",
        ),
        ("SUBLEDGER__HTTP__PUBLIC_URL", "billing", "must be a URL"),
        ("SUBLEDGER__HTTP__TRUSTED_PROXIES", "10.0.0.0/8,x", "must list networks"),
        ("SUBLEDGER__HTTP__LISTENS", "x", "not a setting"),
        ("SUBLEDGER__NONSENSE", "x", "not a setting"),
        ("DATABASE_URL", "mysql://x", "store.url must begin with postgres://"),
        ("SUBLEDGER__STORE__PARTITIONS", "0", "from 1 to 4096"),
        ("SUBLEDGER__STORE__PARTITIONS", "64", "must be 1 (or unset) on SQLite"),
        ("SUBLEDGER__STORE__CONNECTIONS", "3", "from 4 to 200"),
        ("SUBLEDGER__STORE__ACCEPT_UNSAFE_SERVER", "maybe", "true or false"),
        ("SUBLEDGER__WORKER__POLL_MS", "1", "from 10 to 10000"),
        ("SUBLEDGER__WORKER__ENABLED", "yes", "true or false"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_a,,whsec_b", "blank entry"),
        ("SUBLEDGER__STRIPE__TOLERANCE_S", "36000000", "from 60 to 900"),
        ("STRIPE_MODE", "prod", "test or live"),
        ("STRIPE_API_BASE", "http://stripe.example.com", "https URL"),
        ("SUBLEDGER__STRIPE__TRANSPORT", "carrier pigeon", "pooled or stock"),
        ("SUBLEDGER__AUTH__KEY_PEPPER", "short", "at least 32"),
        (
            "SUBLEDGER__PORTAL__CORS_ORIGINS",
            "https://a.example/path",
            "origins such as",
        ),
        (
            "SUBLEDGER__PORTAL__JWT__ISSUER",
            "me",
            "needs algorithms, issuer and audience",
        ),
        ("SUBLEDGER__PORTAL__JWT__ROLES__BOSS", "king", "needs algorithms"),
        ("SUBLEDGER__LOG__FORMAT", "xml", "text or json"),
        ("SUBLEDGER__LOG__LEVEL", "=,=", "log.level must be"),
        ("STRIPE_WEBHOOK_SECRET_FILE", "/nonexistent/secret", "cannot be read"),
        ("SUBLEDGER__HTTP__LISTEN_FILE", &long, "not a setting"),
    ];
    for (name, value, says) in cases {
        let text = if *name == "SUBLEDGER__PORTAL__JWT__ROLES__BOSS" {
            // A role alone does not switch portal tokens on; with the rest it must be one of ours.
            refusal(&of(&[
                (name, value),
                ("SUBLEDGER__PORTAL__JWT__ALGORITHMS", "HS256"),
                ("SUBLEDGER__PORTAL__JWT__ISSUER", "me"),
                ("SUBLEDGER__PORTAL__JWT__AUDIENCE", "you"),
            ]))
            .replace("must be viewer, member, billing or admin", "needs algorithms")
        } else {
            refusal(&of(&[(name, value)]))
        };
        assert!(text.contains(says), "{name}={value}: {text}");
    }
}

#[test]
fn a_live_key_stays_with_live_money() {
    let live = ("STRIPE_SECRET_KEY", "sk_live_0000000000000000");
    assert_eq!(Config::load(&of(&[live])).unwrap().stripe.mode, Mode::Live);
    assert!(refusal(&of(&[live, ("STRIPE_MODE", "test")])).contains("other mode"));
    assert!(refusal(&of(&[live, ("STRIPE_API_BASE", "http://127.0.0.1:9/")])).contains("Stripe's own address"));
}

#[test]
fn two_names_for_one_setting_must_agree() {
    let same = of(&[
        ("DATABASE_URL", "postgres://h/d"),
        ("SUBLEDGER__STORE__URL", "postgres://h/d"),
    ]);
    assert!(Config::load(&same).is_ok());
    let text = refusal(&of(&[
        ("DATABASE_URL", "postgres://h/d"),
        ("SUBLEDGER__STORE__URL", "postgres://h/e"),
    ]));
    assert!(
        text.contains("DATABASE_URL") && text.contains("SUBLEDGER__STORE__URL"),
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "whsec_from_file\n").unwrap();
    let path = path.to_str().unwrap();
    let one = Config::load(&of(&[("STRIPE_WEBHOOK_SECRET_FILE", path)])).unwrap();
    assert_eq!(one.stripe.webhook_secrets[0].expose_secret(), "whsec_from_file");
    let both = refusal(&of(&[
        ("STRIPE_WEBHOOK_SECRET_FILE", path),
        ("STRIPE_WEBHOOK_SECRET", "whsec_from_file"),
    ]));
    assert!(both.contains("in two ways"), "{both}");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let (_folder, sources) = with_file("[http]\nlisten = \n");
    assert!(refusal(&sources).contains("line 2"), "{}", refusal(&sources));
    let (_folder, sources) = with_file("[http]\nlissten = \"x\"\n");
    assert!(refusal(&sources).contains("http.lissten"));
    let gone = Sources {
        file: Some(PathBuf::from("/nonexistent.toml")),
        ..Sources::default()
    };
    assert!(refusal(&gone).contains("subledger init"));
}

#[test]
fn named_endpoints_have_their_own_secrets() {
    let config = Config::load(&of(&[(
        "SUBLEDGER__STRIPE__ENDPOINTS__CONNECT__WEBHOOK_SECRETS",
        "whsec_a,whsec_b",
    )]));
    assert_eq!(config.unwrap().stripe.endpoints["connect"].len(), 2);
}

#[test]
fn no_secret_is_ever_printed() {
    let canary = "canary-0123456789-0123456789-0123456789";
    let url = format!("postgres://u:{canary}@h/d");
    let sources = of(&[
        ("DATABASE_URL", &url),
        ("STRIPE_WEBHOOK_SECRET", canary),
        ("STRIPE_SECRET_KEY", canary),
        ("SUBLEDGER__AUTH__KEY_PEPPER", canary),
        ("SUBLEDGER__PORTAL__JWT__HS256_SECRET", canary),
        ("SUBLEDGER__STRIPE__ENDPOINTS__A__WEBHOOK_SECRETS", canary),
    ]);
    let shown = format!("{:?}", settings(&sources).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("(set)"));
}

#[test]
fn the_example_file_lists_every_key() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example")).unwrap_or_default();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example"), env_example()).unwrap();
        return;
    }
    assert_eq!(
        committed,
        env_example(),
        "run UPDATE_GENERATED=1 cargo test to write .env.example anew"
    );
}
