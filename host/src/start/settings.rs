//! The settings that decide trust: recorded at each start, and compared with the recorded ones.

use std::collections::BTreeMap;

use super::{Start, StartChecks, StartError, WITNESS_SETTING};
use crate::code::Code;
use crate::ledger::{Event, Reason};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::store::{RowChange, RowKind};

/// An upper bound for the number of settings.
const SETTINGS_MAX: usize = 256;

/// The recorded settings.
struct Recorded {
    settings: Settings,
    /// The entry that recorded each.
    entries: BTreeMap<String, u64>,
}

/// The settings to record at a start.
pub(super) struct ToRecord {
    settings: Settings,
    rows: Vec<RowChange>,
    /// Phrases for those that are weaker, and accepted.
    weaker: Vec<String>,
}

impl ToRecord {
    /// Returns the digest of all settings.
    pub(super) fn digest(&self) -> String {
        self.settings.digest()
    }
}

impl StartChecks {
    async fn recorded_settings(&self) -> Result<Recorded, Refusal> {
        let (mut values, mut entries) = (BTreeMap::new(), BTreeMap::new());
        for name in self.ledger.store().row_ids(RowKind::Setting, "", SETTINGS_MAX).await? {
            if name == WITNESS_SETTING {
                continue;
            }
            let Some(row) = self.ledger.store().row(RowKind::Setting, &name).await? else {
                continue;
            };
            let value = serde_json::from_str(&row.value).map_err(|_| {
                let why = format!("the record of setting `{name}` cannot be read");
                Refusal::new(Code::STORE_UNAVAILABLE, why)
            })?;
            entries.insert(name.clone(), row.entry);
            values.insert(name, value);
        }
        Ok(Recorded { settings: Settings::from_values(values), entries })
    }

    /// Returns whether the last start recorded that the server terminates TLS.
    pub(super) async fn recorded_tls(&self) -> bool {
        self.recorded_settings().await.is_ok_and(|recorded| recorded.settings.terminates_tls())
    }

    /// Blocks writes if a setting is weaker than recorded.
    pub(super) async fn close_for_weaker_settings(&self) {
        if let Err(refusal) = self.settings_suffice().await {
            self.ledger.gate().close(Reason::Settings, refusal);
        }
    }

    /// Checks that no setting is weaker than recorded, except the listener, which only a start
    /// knows.
    ///
    /// Refusals: `settings-weaker`; those of reading the store.
    pub(super) async fn settings_suffice(&self) -> Result<(), Refusal> {
        let recorded = self.recorded_settings().await?;
        let weaker = self.settings.weaker(&recorded.settings.without_listener());
        if weaker.is_empty() {
            return Ok(());
        }
        let why = format!(
            "the settings are weaker than those recorded in the audit log: {}; use the settings of the server, or accept these with `signoff serve`",
            weaker.join("; ")
        );
        Err(Refusal::new(Code::SETTINGS_WEAKER, why))
    }

    /// Returns the settings that differ from the recorded ones.
    ///
    /// Errors: [`StartError::WeakerSettings`] if one is weaker and their digest was not given.
    pub(super) async fn settings_to_record(
        &self,
        start: &Start<'_>,
    ) -> Result<ToRecord, StartError> {
        let settings = self.settings.clone().listening(start.listener);
        let recorded = self.recorded_settings().await?;
        let (weaker, digest) = (settings.weaker(&recorded.settings), settings.digest());
        let given = start.accept.weaker_settings.as_deref();
        if !weaker.is_empty() && given != Some(digest.as_str()) {
            return Err(StartError::WeakerSettings { weaker, digest, other: given.is_some() });
        }
        let row = |name: &str| RowChange {
            kind: RowKind::Setting,
            id: name.to_owned(),
            value: settings.get(name).map(ToString::to_string),
            prev: recorded.entries.get(name).copied().unwrap_or_default(),
        };
        let rows = settings.changed(&recorded.settings).map(row).collect();
        Ok(ToRecord { settings, rows, weaker })
    }

    /// Records changed settings and allows writes with them. Returns a phrase for each one that is
    /// weaker, and accepted.
    pub(super) async fn record_settings(
        &self,
        to_record: ToRecord,
    ) -> Result<Vec<String>, Refusal> {
        let ToRecord { settings, rows, weaker } = to_record;
        self.ledger.gate().open(Reason::Settings);
        if rows.is_empty() {
            return Ok(weaker);
        }
        let event = Event::SettingsRecorded {
            digest: settings.digest(),
            settings: settings.to_json(),
            accepted_weaker: &weaker,
        };
        self.record(event, rows).await?;
        Ok(weaker)
    }
}
