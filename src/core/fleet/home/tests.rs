use super::*;

fn seat(id: u64, file: u64, loaded: i64) -> Seat<'static> {
    Seat { id: SessionId(id), labels: &[], file, loaded: Instant::from_secs(loaded) }
}

fn job(id: &str, fingerprint: u64) -> HomeJob {
    HomeJob {
        id: id.into(),
        fingerprint,
        run_on: RunOn::One,
        added: false,
        delay: Duration::ZERO,
        again: None,
        parents: [].into(),
    }
}

fn files(files: &[(u64, &[(&str, u64)])]) -> HashMap<u64, FileJobs> {
    let jobs = |jobs: &[(&str, u64)]| {
        Arc::new(jobs.iter().map(|&(id, fingerprint)| (id.into(), fingerprint)).collect())
    };
    files.iter().map(|&(hash, list)| (hash, jobs(list))).collect()
}

/// Hosts of two versions of schedrs must agree: these numbers never change.
#[test]
fn scores_never_change() {
    let rows = [
        ("", 1, 0x1040_1663_822d_cddf),
        ("backup", 1, 0xfcba_491e_f00f_3113),
        ("backup", 2, 0x6e99_bde4_9fb1_29a5),
        ("backup", u64::MAX, 0xe9bf_8c7c_c7e3_3068),
        ("nightly report", 0x0123_4567_89ab_cdef, 0xdb48_645a_2209_ed67),
        ("\0", 1, 0x7fbe_db9a_7b93_b94e),
        ("größe", 7, 0x2239_f3c9_9767_f9eb),
    ];
    let found: Vec<_> = rows
        .iter()
        .map(|&(job, session, _)| (job, session, score(hash::text(job), SessionId(session))))
        .collect();
    assert_eq!(found, rows);
}

/// A third each, and a session that leaves takes only its own along.
#[test]
fn jobs_are_spread_and_move_no_more_than_they_must() {
    let names: Vec<String> = (0..9000).map(|n| format!("job{n}")).collect();
    let list: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 1)).collect();
    let files = files(&[(1, &list)]);
    let homes = |ids: &[u64]| -> Vec<Home> {
        let placement = Placement::new(ids.iter().map(|&id| seat(id, 1, 0)).collect(), &files);
        names.iter().map(|name| placement.home(&job(name, 1))).collect()
    };
    let three = homes(&[11, 12, 13]);
    for id in [11, 12, 13] {
        let number = three.iter().filter(|home| **home == Home::At(SessionId(id))).count();
        assert!((2800..3200).contains(&number), "{id} has {number}");
    }
    for (before, after) in three.iter().zip(homes(&[13, 11])) {
        assert!(*before == after || *before == Home::At(SessionId(12)));
    }
}

/// The rules for different jobfiles, a row each: file of sessions 1 and 2 with the time of its
/// loading, the job as session 1 has it, and whether it may be at home with 1 and with 2.
#[test]
fn the_newest_file_that_has_a_job_says_who_may_have_it() {
    let files = files(&[
        (1, &[("same", 1), ("other", 1), ("old", 1)]),
        (2, &[("same", 1), ("other", 2), ("new", 1)]),
    ]);
    let rows = [
        // A (1) is older than B (2).
        (0, 1, job("same", 1), [true, true]),
        (0, 1, job("other", 1), [false, false]),
        (0, 1, job("old", 1), [true, false]),
        (0, 1, job("new", 1), [false, true]),
        (0, 1, job("other", 2), [false, true]),
        (0, 1, job("unknown", 1), [false, false]),
        // The other way round.
        (1, 0, job("other", 1), [true, false]),
        (1, 0, job("other", 2), [false, false]),
        (1, 0, job("new", 1), [false, true]),
    ];
    for (first, second, job, may) in rows {
        let mut found = [false; 2];
        // Whoever is alone among those who may have it has it, so other ids show both.
        for (a, b) in (1..40).map(|n| (2 * n, 2 * n + 1)) {
            let placement = Placement::new(vec![seat(a, 1, first), seat(b, 2, second)], &files);
            found[0] |= placement.home(&job) == Home::At(SessionId(a));
            found[1] |= placement.home(&job) == Home::At(SessionId(b));
        }
        assert_eq!(found, may, "{job:?} with files loaded at {first} and {second}");
    }
}

#[test]
fn labels_and_all_and_added_jobs() {
    let files = files(&[(1, &[("a", 1)])]);
    let gpu: [Box<str>; 2] = ["gpu".into(), "big".into()];
    let seats = || vec![Seat { labels: &gpu, ..seat(5, 1, 0) }, seat(6, 1, 0), seat(7, 9, 5)];
    let placement = Placement::new(seats(), &files);
    let on = |run_on| HomeJob { run_on, ..job("a", 1) };
    let labels =
        |labels: &[&str]| RunOn::Labels(labels.iter().map(|&label| label.into()).collect());
    assert_eq!(placement.home(&on(labels(&["gpu"]))), Home::At(SessionId(5)));
    assert_eq!(placement.home(&on(labels(&["big", "gpu"]))), Home::At(SessionId(5)));
    assert_eq!(placement.home(&on(labels(&["gpu", "fast"]))), Home::Nowhere);
    let all = on(RunOn::All);
    assert_eq!(placement.home(&all), Home::Each);
    let each = [5, 6, 7].map(|id| placement.is_home(&all, SessionId(id)));
    assert_eq!(each, [true, true, false], "7 has a file that nobody has read");
    // An added job is in no file, and anybody may have it.
    let found: Vec<Home> = (0..40)
        .map(|n| HomeJob { added: true, ..job(&format!("added{n}"), 3) })
        .map(|job| placement.home(&job))
        .collect();
    for id in [5, 6, 7] {
        assert!(found.contains(&Home::At(SessionId(id))));
    }
}
