//! The names of months and weekdays: every table of them in the crate is one of these.

/// The months, January first.
pub(crate) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The weekdays, Monday first, as ISO and APScheduler count them.
pub(crate) const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// `jan` to `dec`.
pub(crate) const SHORT_MONTHS: [&str; 12] = short(MONTHS);

/// `mon` to `sun`.
pub(crate) const SHORT_WEEKDAYS: [&str; 7] = short(WEEKDAYS);

/// `sun` to `sat`, as cron counts them.
pub(crate) const SHORT_WEEKDAYS_FROM_SUNDAY: [&str; 7] = {
    let [mon, tue, wed, thu, fri, sat, sun] = SHORT_WEEKDAYS;
    [sun, mon, tue, wed, thu, fri, sat]
};

const fn short<const N: usize>(mut names: [&'static str; N]) -> [&'static str; N] {
    let mut at = 0;
    while at < N {
        names[at] = names[at].split_at(3).0;
        at += 1;
    }
    names
}

/// The month that a word names, January as 0: as [`SHORT_MONTHS`], in full or as `sept`, in any case.
pub(crate) fn month(word: &str) -> Option<usize> {
    named(word, &MONTHS, &[("sept", 8)])
}

/// The weekday that a word names, Monday as 0: as [`SHORT_WEEKDAYS`], in full, or in one of the other
/// abbreviations that people have for it (those of `date`), in any case.
pub(crate) fn weekday(word: &str) -> Option<usize> {
    named(word, &WEEKDAYS, &[("tues", 1), ("wednes", 2), ("weds", 2), ("thur", 3), ("thurs", 3)])
}

fn named(word: &str, full: &[&str], more: &[(&str, usize)]) -> Option<usize> {
    let is_it = |name: &str| match word.len() {
        3 => word.eq_ignore_ascii_case(&name[..3]),
        _ => word.eq_ignore_ascii_case(name),
    };
    let more = || more.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, at)| *at);
    full.iter().position(|name| is_it(name)).or_else(more)
}

/// A name with a capital letter: `Monday`, `Mar`.
pub(crate) fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
