//! `init`: everything a first start needs, in one go: a configuration file, an env file with fresh secrets (mode 0600),
//! the ledger's tables and the first admin key. It never overwrites a file: a lost pepper voids every key.

use std::path::{Path, PathBuf};

use clap::Args;

use super::api::Api;
use super::exit::{Exit, Failure};
use super::{Shared, serve};
use crate::app;

/// The configuration file that is written: everything that is usually set, with its default.
const TEMPLATE: &str = include_str!("init.toml");

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Where to write subledger.toml and subledger.env
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Only write the files; the ledger is made by the first `serve` or `migrate`
    #[arg(long)]
    files_only: bool,
}

pub(super) async fn run(command: Init, shared: &Shared) -> Result<Exit, Failure> {
    let (file, env) = (command.dir.join("subledger.toml"), command.dir.join("subledger.env"));
    for path in [&file, &env] {
        if path.exists() {
            let message = format!(
                "{} is there already and is left as it is; remove it, or choose another --dir",
                path.display()
            );
            return Err(Failure::usage(message));
        }
    }
    std::fs::create_dir_all(&command.dir).map_err(|error| Failure::file(&command.dir, &error))?;
    let config = shared.quiet_config()?;
    let pepper = match &config.key_pepper {
        Some(_) => None,
        None if config.store.url.is_none() => {
            app::prepare_data_dir(&config.store.data_dir)?;
            Some(app::pepper(None, &config.store.data_dir)?)
        }
        None => Some(app::random_text()?.into()),
    };
    write(&file, TEMPLATE)?;
    app::write_private(&env, &env_text(pepper.as_ref()))?;
    shared.note(&format!("wrote {} and {}", file.display(), env.display()));
    if command.files_only {
        return Ok(Exit::Done);
    }
    let flags = pepper.iter().map(|pepper| {
        (
            "auth.key_pepper".to_owned(),
            secrecy::ExposeSecret::expose_secret(pepper).to_owned(),
        )
    });
    let config = shared.quiet_config_with(flags.collect())?;
    let api = Api::open(&config).await?;
    let key = serve::first_key(&api).await;
    api.close().await;
    serve::show_key(key?.as_deref(), shared)?;
    let (env, ledger) = (env.display(), config.store.data_dir.display());
    shared.note(&format!(
        "Next: put Stripe's webhook secret into {env}, then:\n  set -a; . {env}; set +a; subledger serve"
    ));
    shared.note(&format!("The ledger's files of this machine are in {ledger}."));
    Ok(Exit::Done)
}

fn env_text(pepper: Option<&secrecy::SecretString>) -> String {
    let pepper = pepper.map_or_else(
        || "# auth.key_pepper is set elsewhere and is left there\n".to_owned(),
        |pepper| {
            format!(
                "SUBLEDGER__AUTH__KEY_PEPPER={}\n",
                secrecy::ExposeSecret::expose_secret(pepper)
            )
        },
    );
    format!(
        "# Secrets of subledger. Read them before starting it: set -a; . ./subledger.env; set +a\n\
         # Losing the pepper voids every API key: keep a copy where you keep your other secrets.\n{pepper}\n\
         # From Stripe: Developers, Webhooks, your endpoint, Signing secret. Two with a comma while rolling.\n\
         STRIPE_WEBHOOK_SECRET=\n\n\
         # From Stripe: Developers, API keys.\nSTRIPE_SECRET_KEY=\n\n\
         # Set it to use Postgres: postgres://user:password@host/database\nDATABASE_URL=\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::file(path, &error))
}
