//! The collections, their indexes, and the document that says which version of them this is.
//!
//! They are made at first use. Hosts may start together: each thing is made by whoever is first.

use mongodb::bson::{Document, doc};

use super::encode;
use super::link::Link;
use crate::store::{StoreError, Trouble};

/// The collections and their documents have this form. `oldest` in the document is the oldest that
/// may use them: what only adds leaves it as it is.
const SCHEMA: i32 = 1;

/// The one document about all of it: counters, and who is there.
pub(super) const FLEET: &str = "fleet";

/// Makes sure that all of it is there and that this program understands it. Without `make` nothing is
/// made.
pub(super) fn ensure(link: &mut Link, make: bool) -> Result<(), StoreError> {
    let found = link.find("fleet", doc! { "_id": FLEET }, doc! { "limit": 1 })?.pop();
    let Some(found) = found else {
        if !make {
            let message = format!(
                "there is no store named \"{}\" in the database \"{}\"; `schedrs run` creates it",
                link.settings.name, link.settings.database
            );
            return Err(link.error(Trouble::Missing, &message));
        }
        return create(link);
    };
    let versions = encode::count(&found, "schema")
        .and_then(|schema| Ok((schema, encode::count(&found, "oldest")?)));
    let (schema, oldest) = link.taken(versions)?;
    if oldest > SCHEMA as u64 {
        let message = format!(
            "was written by a newer schedrs (its schema is {schema}, this one knows up to {SCHEMA}); \
             update this host, or use another name"
        );
        return Err(link.error(Trouble::Newer(schema as u32), &message));
    }
    Ok(())
}

fn create(link: &mut Link) -> Result<(), StoreError> {
    let some =
        |key: &str, least: i64| doc! { "partialFilterExpression": { key: { "$gte": least } } };
    let unique = |mut options: Document| {
        options.insert("unique", true);
        options
    };
    indexes(
        link,
        "record",
        vec![
            // The due time is in the key of the document. A slot is there until the run is over.
            ("slot", doc! { "job": 1, "slot": 1, "for": 1 }, unique(some("slot", 0))),
            ("run", doc! { "run": 1 }, unique(some("run", 0))),
            ("seq", doc! { "seq": 1 }, doc! {}),
            ("job", doc! { "job": 1, "seq": 1 }, doc! {}),
            ("due", doc! { "last_due": 1 }, doc! {}),
            ("open", doc! { "session": 1 }, some("open", 1)),
            ("failed", doc! { "seq": 1, "failed": 1 }, some("failed", 1)),
        ],
    )?;
    indexes(link, "change", vec![("at", doc! { "at": 1 }, doc! {})])?;
    // The last thing, so that whoever finds it finds all.
    let begin = doc! {
        "schema": SCHEMA, "oldest": SCHEMA, "generation": 0_i64, "changes": 0_i64, "seq": 0_i64,
        "lives": 0_i64, "next_run": 1_i64, "recorded": "", "members": {},
    };
    link.update(
        "fleet",
        &[doc! { "q": { "_id": FLEET }, "u": { "$setOnInsert": begin }, "upsert": true }],
    )
}

fn indexes(
    link: &mut Link,
    collection: &str,
    all: Vec<(&str, Document, Document)>,
) -> Result<(), StoreError> {
    let index = |(name, key, options): (&str, Document, Document)| {
        let mut index = doc! { "name": name, "key": key };
        index.extend(options);
        index
    };
    let all: Vec<Document> = all.into_iter().map(index).collect();
    let name = link.collection(collection);
    link.write(doc! { "createIndexes": name, "indexes": all }).map(drop)
}
