//! The way to the server: a client of its own, made when it is needed and thrown away after the first
//! error.
//!
//! The client is asynchronous; here it runs within calls that return, on a runtime of its own that has
//! no thread. Each call has a limit. Commands are sent as they are, so that it is seen here what each
//! of them has come to, and the writing ones wait until most servers of the replica set have them.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::{Client, Database};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::encode::{Odd, Read};
use super::settings::Settings;
use super::trouble;
use crate::core::url::SharedUrl;
use crate::store::{StoreError, Trouble};

/// How long one call may take.
const ANSWER: Duration = Duration::from_secs(6);
/// How long the server is to try, in milliseconds, so that nothing of a lost connection stays.
const SERVER: i32 = 5000;
/// So many documents or changes are in one command at most.
const MANY: usize = 1000;
/// So many bytes of output as well.
pub(super) const LARGE: usize = 8 << 20;

/// A client, or how to make one.
pub(super) struct Link {
    pub(super) settings: Settings,
    /// `None` when it is dropped.
    runtime: Option<Runtime>,
    client: Option<Client>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why a call has failed.
enum Failed {
    Said(Error),
    Late,
}

impl Link {
    /// Without connecting.
    pub(super) fn new(url: &SharedUrl) -> Result<Link, StoreError> {
        let runtime = runtime(url)?;
        let settings = Settings::of(url, &runtime)?;
        Ok(Link { settings, runtime: Some(runtime), client: None })
    }

    /// Another one to the same place.
    pub(super) fn again(&self) -> Result<Link, StoreError> {
        let runtime = runtime(&self.settings.url)?;
        Ok(Link { settings: self.settings.clone(), runtime: Some(runtime), client: None })
    }

    /// An error of the store.
    pub(super) fn error(&self, kind: Trouble, message: &str) -> StoreError {
        self.settings.url.error(kind, message)
    }

    /// What was taken from an answer, or an error that tells of the store.
    pub(super) fn taken<T>(&self, taken: Read<T>) -> Result<T, StoreError> {
        taken.map_err(|Odd| {
            self.error(Trouble::Corrupt, "holds data that is not from schedrs; use another name")
        })
    }

    /// The full name of a collection.
    pub(super) fn collection(&self, name: &str) -> String {
        format!("{}_{name}", self.settings.name)
    }

    /// Documents, as they are found.
    pub(super) fn find(
        &mut self,
        collection: &str,
        filter: Document,
        more: Document,
    ) -> Result<Vec<Document>, StoreError> {
        let mut command = doc! { "find": self.collection(collection), "filter": filter };
        command.extend(more);
        self.cursor(command)
    }

    /// What a pipeline makes of documents.
    pub(super) fn aggregate(
        &mut self,
        collection: &str,
        pipeline: Vec<Document>,
    ) -> Result<Vec<Document>, StoreError> {
        self.cursor(doc! {
            "aggregate": self.collection(collection), "pipeline": pipeline, "cursor": {},
        })
    }

    fn cursor(&mut self, mut command: Document) -> Result<Vec<Document>, StoreError> {
        command.insert("readConcern", doc! { "level": "majority" });
        command.insert("maxTimeMS", SERVER);
        self.call(async |database| {
            database.run_cursor_command(command.clone()).await?.try_collect().await
        })
    }

    /// Changes one document, and answers it as it is then; `None`: there is none to be changed.
    pub(super) fn change_one(
        &mut self,
        collection: &str,
        filter: Document,
        update: Document,
    ) -> Result<Option<Document>, StoreError> {
        let answer = self.write(doc! {
            "findAndModify": self.collection(collection), "query": filter, "update": update,
            "new": true,
        })?;
        match answer.get("value") {
            Some(Bson::Document(found)) => Ok(Some(found.clone())),
            _ => Ok(None),
        }
    }

    /// Puts documents in. Answers the places of those whose keys are there already.
    pub(super) fn insert(
        &mut self,
        collection: &str,
        documents: Vec<Document>,
    ) -> Result<Vec<usize>, StoreError> {
        let mut there = Vec::new();
        for (chunk, documents) in documents.chunks(MANY).enumerate() {
            let answer = self.write(doc! {
                "insert": self.collection(collection), "documents": documents.to_vec(),
                "ordered": false,
            })?;
            there.extend(self.duplicates(&answer)?.into_iter().map(|place| chunk * MANY + place));
        }
        Ok(there)
    }

    /// Changes documents, each change in its turn: a list of what `update` of the server takes.
    pub(super) fn update(
        &mut self,
        collection: &str,
        updates: &[Document],
    ) -> Result<(), StoreError> {
        for updates in updates.chunks(MANY) {
            let answer = self.write(doc! {
                "update": self.collection(collection), "updates": updates.to_vec(),
            })?;
            // Two hosts may make the same document; who comes second finds it.
            self.duplicates(&answer)?;
        }
        Ok(())
    }

    /// Takes documents away.
    pub(super) fn delete(&mut self, collection: &str, filter: Document) -> Result<u64, StoreError> {
        let answer = self.write(doc! {
            "delete": self.collection(collection), "deletes": [{ "q": filter, "limit": 0 }],
        })?;
        let count = super::encode::number(&answer, "n");
        self.taken(count).map(|count| count as u64)
    }

    /// A command that writes. It is done when most servers have it on their disks.
    pub(super) fn write(&mut self, mut command: Document) -> Result<Document, StoreError> {
        command.insert("writeConcern", doc! { "w": "majority", "j": true, "wtimeout": SERVER });
        command.insert("maxTimeMS", SERVER);
        let answer = self.call(async |database| database.run_command(command.clone()).await)?;
        if let Ok(concern) = answer.get_document("writeConcernError") {
            let what = concern.get_str("errmsg").unwrap_or("not in time");
            let message = format!("did not write to most of its servers: {what}");
            self.client = None;
            return Err(self.error(Trouble::Unreachable, &message));
        }
        Ok(answer)
    }

    /// The places of those that were there already; any other error is one.
    fn duplicates(&mut self, answer: &Document) -> Result<Vec<usize>, StoreError> {
        let mut places = Vec::new();
        for error in answer.get_array("writeErrors").map_or(&[][..], |errors| errors) {
            let Some(error) = error.as_document() else { continue };
            let code = super::encode::number(error, "code").unwrap_or(0) as i32;
            if code != trouble::DUPLICATE {
                let what = error.get_str("errmsg").unwrap_or("an error without a name");
                return Err(self.error(trouble::of_code(code), what));
            }
            let place = super::encode::number(error, "index");
            places.push(self.taken(place)? as usize);
        }
        Ok(places)
    }

    /// Has the client do something, within the limit. After an error it is gone, unless the server has
    /// said it.
    fn call<T>(
        &mut self,
        work: impl AsyncFn(Database) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.runtime else {
            return Err(self.error(Trouble::Other, "is closed"));
        };
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                // It makes tasks, which are the runtime's.
                let _inside = runtime.enter();
                Client::with_options(self.settings.options.clone())
                    .map_err(|error| self.error(trouble::kind(&error), &trouble::words(&error)))?
            }
        };
        let database = client.database(&self.settings.database);
        let done = runtime.block_on(async { timeout(ANSWER, work(database)).await });
        let failed = match done {
            Ok(Ok(done)) => {
                self.client = Some(client);
                return Ok(done);
            }
            Ok(Err(error)) => Failed::Said(error),
            Err(_) => Failed::Late,
        };
        match failed {
            Failed::Said(error) => {
                let kind = trouble::kind(&error);
                if kind != Trouble::Unreachable {
                    self.client = Some(client);
                }
                Err(self.error(kind, &trouble::words(&error)))
            }
            Failed::Late => {
                let message = format!("no answer within {} s", ANSWER.as_secs());
                Err(self.error(Trouble::Unreachable, &message))
            }
        }
    }
}

fn runtime(url: &SharedUrl) -> Result<Runtime, StoreError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| url.error(Trouble::Other, &format!("it cannot be waited for: {error}")))
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Its last words are spoken in the runtime, which does not wait for them.
            let inside = runtime.enter();
            self.client = None;
            drop(inside);
            runtime.shutdown_background();
        }
    }
}
