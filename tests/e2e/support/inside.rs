//! A server in this process, with a given verifier and clock, and without a sweeper.

use std::sync::Arc;

use signoff::api::{self, App, Metrics, Origin};
use signoff::clock::Clock;
use signoff::config::Config;
use signoff::engine::{Allocation, Cache, Loader, digest};
use signoff::keys::{KeySource, Keys, keyring_beside};
use signoff::server::Exposure;
use signoff::service::Service;
use signoff::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use signoff::verifier::Verifier;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{Client, Home, SECRET};

/// A server over the store of a home.
pub struct Inside {
    pub client: Client,
    stop: watch::Sender<bool>,
    runtime: Runtime,
}

impl Inside {
    pub fn start(home: &Home, wasm: &[u8], clock: Arc<dyn Clock>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let name = digest(wasm);
        let verifier = Verifier::load(wasm, &name, Allocation::OnDemand, &Cache::none()).unwrap();
        let keyring = KeySource::new(keyring_beside(&home.store()), None);
        let trust = signoff::keys::trust(&Arc::new(keyring));
        let mode = OpenMode::Create { audience: "default".to_owned() };
        let store = RedbStore::open(&home.store(), mode, CheckIntegrity::No, trust).unwrap();
        let keys = Keys::of_secret(SECRET).unwrap();
        let (stop, stopping) = watch::channel(false);
        let client = runtime.block_on(async {
            let service = Service::new(
                Arc::new(store),
                verifier,
                Loader::new(Allocation::OnDemand, Cache::none()),
                Arc::new(KeySource::fixed(keys)),
                clock,
                Config::default(),
            )
            .await
            .unwrap();
            let metrics = Arc::<Metrics>::default();
            let app = App::new(
                Arc::new(service),
                Arc::clone(&metrics),
                stopping.clone(),
                Origin::Network,
            );
            let router = api::router(app);
            let address = "127.0.0.1:0".parse().unwrap();
            let listener = signoff::server::bind(&address, Exposure::default()).await.unwrap();
            let client = Client::new(listener.url(false).unwrap());
            tokio::spawn(signoff::server::serve(vec![listener], None, router, metrics, stopping));
            client
        });
        Self { client, stop, runtime }
    }

    pub fn stop(self) {
        self.stop.send_replace(true);
        drop(self.runtime);
    }
}
