//! Which jobs are meant by what was typed: ids, patterns of ids, and tags.

use anyhow::{Context as _, anyhow};

use crate::core::nearest::nearest;
use crate::problem::clean;

/// In front of a tag.
const TAG: &str = "tag:";

/// Words that stand for jobs.
#[derive(Debug, Default)]
pub(super) struct Selection {
    words: Vec<Word>,
}

#[derive(Debug)]
struct Word {
    typed: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Id,
    Like(glob::Pattern),
    Tag(glob::Pattern),
}

/// Whether a word may stand for several jobs.
pub(super) fn is_pattern(word: &str) -> bool {
    word.starts_with(TAG) || word.contains(['*', '?', '['])
}

impl Word {
    fn new(typed: &str) -> anyhow::Result<Word> {
        let pattern = |text: &str| {
            glob::Pattern::new(text)
                .with_context(|| format!("`{}` is not a valid pattern", clean(text)))
        };
        let kind = match typed.strip_prefix(TAG) {
            Some(tag) => Kind::Tag(pattern(tag)?),
            None if is_pattern(typed) => Kind::Like(pattern(typed)?),
            None => Kind::Id,
        };
        Ok(Word { typed: typed.to_owned(), kind })
    }

    /// An id is itself, whatever is in it.
    fn has<T: AsRef<str>>(&self, id: &str, tags: &[T]) -> bool {
        id == self.typed
            || match &self.kind {
                Kind::Id => false,
                Kind::Like(pattern) => pattern.matches(id),
                Kind::Tag(pattern) => tags.iter().any(|tag| pattern.matches(tag.as_ref())),
            }
    }

    /// It stands for none of these jobs, which are those `of` something.
    fn none<'a>(&self, ids: impl Iterator<Item = &'a str>, of: &str) -> anyhow::Error {
        let typed = clean(&self.typed);
        match &self.kind {
            Kind::Tag(_) => {
                anyhow!("no job{of} has the tag `{}`", typed.trim_start_matches(TAG))
            }
            Kind::Like(_) => anyhow!("no job{of} has an id like `{typed}`"),
            Kind::Id => match nearest(&self.typed, ids) {
                Some(near) => anyhow!("no job `{typed}`{of}; did you mean `{}`?", clean(near)),
                None => anyhow!("no job `{typed}`{of}"),
            },
        }
    }
}

impl Selection {
    pub(super) fn new(words: &[String]) -> anyhow::Result<Selection> {
        let words = words.iter().map(|word| Word::new(word)).collect::<anyhow::Result<_>>()?;
        Ok(Selection { words })
    }

    /// Whether nothing was typed, which may stand for all jobs.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a job is one of them.
    pub(super) fn has<T: AsRef<str>>(&self, id: &str, tags: &[T]) -> bool {
        self.words.iter().any(|word| word.has(id, tags))
    }

    /// Makes sure that each word stands for at least one of these jobs.
    pub(super) fn must_all_stand<T: AsRef<str>>(
        &self,
        jobs: &[(&str, &[T])],
        of: &str,
    ) -> anyhow::Result<()> {
        for word in &self.words {
            if !jobs.iter().any(|(id, tags)| word.has(id, tags)) {
                return Err(word.none(jobs.iter().map(|(id, _)| *id), of));
            }
        }
        Ok(())
    }

    /// The places of the jobs that are meant, each once, in their order. Each word has to stand for at
    /// least one. `of` says whose jobs they are, with a space before it.
    pub(super) fn choose<T: AsRef<str>>(
        &self,
        jobs: &[(&str, &[T])],
        of: &str,
    ) -> anyhow::Result<Vec<usize>> {
        self.must_all_stand(jobs, of)?;
        let chosen = jobs.iter().enumerate().filter(|(_, (id, tags))| self.has(id, tags));
        Ok(chosen.map(|(place, _)| place).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: [(&str, &[&str]); 5] = [
        ("backup-db", &["backup", "eu"]),
        ("backup-web", &["backup"]),
        ("web@prod", &[]),
        ("odd*", &["us"]),
        ("tag:me", &[]),
    ];

    fn chosen(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let selection = Selection::new(&words).map_err(|error| error.to_string())?;
        let places = selection.choose(&JOBS, " here").map_err(|error| error.to_string())?;
        Ok(places.iter().map(|place| JOBS[*place].0).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_words_stand_for() {
        let many = "*a".repeat(200);
        let none = format!("no job here has an id like `{many}`");
        let rows: [(&[&str], Result<&str, &str>); 14] = [
            (&["web@prod"], Ok("web@prod")),
            (&["web@prod", "backup-*"], Ok("backup-db backup-web web@prod")),
            (&["backup-db", "backup-??", "backup-db"], Ok("backup-db")),
            (&["backup-[dw]*"], Ok("backup-db backup-web")),
            (&["*"], Ok("backup-db backup-web web@prod odd* tag:me")),
            (&["tag:backup"], Ok("backup-db backup-web")),
            (&["tag:e*", "tag:us"], Ok("backup-db odd*")),
            // Ids that look like something else.
            (&["odd*"], Ok("odd*")),
            (&["tag:me"], Ok("tag:me")),
            (&["bakup-db"], Err("no job `bakup-db` here; did you mean `backup-db`?")),
            (&["backup-db", "x-*"], Err("no job here has an id like `x-*`")),
            (&["tag:asia"], Err("no job here has the tag `asia`")),
            (&["a[b"], Err("`a[b` is not a valid pattern")),
            // Short work of what was made to take long.
            (&[&many], Err(&none)),
        ];
        for (words, expected) in rows {
            let found = chosen(words);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{words:?}");
        }
    }
}
