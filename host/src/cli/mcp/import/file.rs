//! The configuration of an MCP client: where its servers are, and how it is replaced.

use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use signoff_core::object;

use crate::folder::{Folder, is_mine};
use crate::json_text::JsonText;

const BYTES_MAX: u64 = 16 << 20;

/// A configuration, which is valid.
pub(super) struct Configuration {
    pub(super) path: PathBuf,
    pub(super) text: String,
    value: Value,
}

/// The names that lead to a table of servers.
pub(super) type Table = Vec<String>;

impl Configuration {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// It is a link, not a file, another user's, too large, not JSON without comments, has a duplicate
    /// member, or no table of servers.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let (folder, name) = Folder::of(path).with_context(|| format!("cannot read `{shown}`"))?;
        let (file, meta) = folder.read(&name).map_err(|e| match e.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                anyhow!("`{shown}` is a link: name the file that it leads to")
            }
            _ => anyhow!("cannot read `{shown}`: {e}"),
        })?;
        ensure!(is_mine(&meta), "`{shown}` belongs to another user");
        let mut text = String::new();
        file.take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read `{shown}`"))?;
        ensure!(text.len() as u64 <= BYTES_MAX, "`{shown}` is too large");
        let refused = |why: String| anyhow!("`{shown}` is left as it is: {why}");
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            let comments = match text.contains("//") || text.contains("/*") {
                true => "; comments are not kept, so remove them or change the file by hand",
                false => "",
            };
            refused(format!("it is not valid JSON: {}{comments}", object::redacted_message(&e)))
        })?;
        object::refuse_duplicate_members("it", &text).map_err(|e| refused(e.message))?;
        let configuration = Self { path: path.to_owned(), text, value };
        configuration.refuse_duplicates().map_err(refused)?;
        ensure!(
            !configuration.tables().is_empty(),
            refused("it has neither `mcpServers` nor `servers`".to_owned())
        );
        Ok(configuration)
    }

    /// Refuses duplicate members on the way to a server and in its entry: of two, the client could take the
    /// other.
    fn refuse_duplicates(&self) -> Result<(), String> {
        let text = JsonText { text: self.text.clone() };
        for (table, name) in self.servers() {
            let mut place = text.root();
            for name in table.iter().map(String::as_str).chain([name.as_str()]) {
                let Some(found) = text.member(&place, name) else { break };
                place = found;
                let part = text.text.get(place.clone()).unwrap_or_default();
                if part.starts_with('{') {
                    object::refuse_duplicate_members("it", part).map_err(|e| e.message)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the tables of servers: of Claude Desktop, Claude Code and Cursor, of VS Code, of VS Code's
    /// settings, and of the projects of Claude Code.
    fn tables(&self) -> Vec<Table> {
        let mut paths: Vec<Table> = [&["mcpServers"][..], &["servers"], &["mcp", "servers"]]
            .iter()
            .map(|path| path.iter().map(|&name| name.to_owned()).collect())
            .collect();
        let projects = self.value.get("projects").and_then(Value::as_object);
        for name in projects.into_iter().flat_map(|projects| projects.keys()) {
            paths.push(vec!["projects".to_owned(), name.clone(), "mcpServers".to_owned()]);
        }
        paths.retain(|path| self.table(path).is_some());
        paths
    }

    fn table(&self, path: &Table) -> Option<&serde_json::Map<String, Value>> {
        let mut value = &self.value;
        for name in path {
            value = value.get(name)?;
        }
        value.as_object()
    }

    /// Returns the servers, each with its table.
    pub(super) fn servers(&self) -> Vec<(Table, String)> {
        let mut servers = Vec::new();
        for path in self.tables() {
            let names = self.table(&path).into_iter().flat_map(|table| table.keys());
            servers.extend(names.map(|name| (path.clone(), name.clone())));
        }
        servers
    }

    /// Returns where the entry of a server is in a text.
    pub(super) fn entry(&self, text: &JsonText, table: &Table, name: &str) -> Result<Range<usize>> {
        let mut place = text.root();
        for name in table.iter().map(String::as_str).chain([name]) {
            let found = text.member(&place, name);
            place =
                found.with_context(|| format!("`{}` changed meanwhile", self.path.display()))?;
        }
        Ok(place)
    }

    /// Replaces the file, unless it changed since it was read. Its mode stays.
    pub(super) fn replace(&self, text: &str) -> Result<()> {
        let written = || format!("cannot write `{}`", self.path.display());
        let (folder, name) = Folder::of(&self.path).with_context(written)?;
        let now = Self::read(&self.path)?;
        ensure!(now.text == self.text, "`{}` changed meanwhile: try again", self.path.display());
        let (_, meta) = folder.read(&name).with_context(written)?;
        let mut draft = folder.draft(&name, 0o600).with_context(written)?;
        draft.resemble(&meta).with_context(written)?;
        draft.write_all(text.as_bytes()).with_context(written)?;
        draft.replace(&name).with_context(written)
    }
}
