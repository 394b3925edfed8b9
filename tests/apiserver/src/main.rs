//! `apiserver`: the in-memory API server for use by hand, e.g. with
//! `kubectl --server http://127.0.0.1:6443`.
//!
//! `kubectl get`, `apply`, `edit`, `label`, `delete` and `create -f` work. What sends protobuf,
//! e.g. `kubectl create namespace`, is refused.

use std::path::PathBuf;

use anyhow::Context;
use apiserver::{Config, Server, User};
use clap::Parser;

/// An in-memory Kubernetes API server.
#[derive(Parser)]
struct Args {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: String,
    /// YAML file with roles and bindings. With it, tokens are checked; requests without a token
    /// (kubectl sends none by plain HTTP) are the administrator's.
    #[arg(long)]
    rbac: Vec<PathBuf>,
    /// A bearer token for a service account.
    #[arg(long, value_name = "TOKEN=NAMESPACE/NAME")]
    token: Vec<String>,
    /// YAML files with objects to start with.
    files: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let Args {
        listen,
        rbac,
        token,
        files,
    } = Args::parse();
    let config = Config {
        rbac: !rbac.is_empty(),
        without_token: User::admin(),
        ..Config::default()
    };
    let server = Server::bind(&listen, config).with_context(|| format!("listen on {listen}"))?;
    let api = server.handle();
    for path in rbac.iter().chain(&files) {
        let yaml = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let count = api
            .apply_yaml(&yaml)
            .with_context(|| path.display().to_string())?;
        println!("{}: {count} objects", path.display());
    }
    for token in &token {
        let account = token.split_once('=').and_then(|(token, account)| {
            let (namespace, name) = account.split_once('/')?;
            Some((token, User::service_account(namespace, name)))
        });
        let (token, user) =
            account.with_context(|| format!("{token}: not TOKEN=NAMESPACE/NAME"))?;
        api.add_token(token, user);
    }
    println!("serving on {}", server.url());
    loop {
        std::thread::park();
    }
}
