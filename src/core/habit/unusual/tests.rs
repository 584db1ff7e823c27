use proptest::prelude::*;

use super::super::slow;
use super::*;

fn run((millis, printed): (u64, Option<u64>)) -> Success {
    Success { took: Duration::from_millis(millis), printed }
}

fn printed(bytes: &[u64]) -> Vec<Success> {
    bytes.iter().map(|bytes| run((1, Some(*bytes)))).collect()
}

fn took(secs: &[u64]) -> Vec<Success> {
    secs.iter().map(|secs| run((1000 * secs, None))).collect()
}

#[test]
fn what_is_quiet() {
    // (what those before have printed, what this one has, what is usual if it is quiet)
    let rows: [(Vec<u64>, u64, Option<u64>); 17] = [
        (vec![1000; 10], 0, Some(1000)),
        // Nothing is usual yet.
        (vec![1000; 9], 0, None),
        (vec![1000; 10], 99, Some(1000)),
        (vec![1000; 10], 100, None),
        (vec![1000; 10], 5000, None),
        // Of little only nothing is less.
        (vec![200; 10], 19, Some(200)),
        (vec![199; 10], 19, None),
        (vec![199; 10], 1, None),
        (vec![3; 10], 0, Some(3)),
        // It is usual to print nothing, or is so now and then.
        (vec![0; 50], 0, None),
        ([vec![1000; 8], vec![0; 2]].concat(), 0, None),
        ([vec![1000; 9], vec![0; 1]].concat(), 0, Some(1000)),
        ([vec![1000; 45], vec![0; 5]].concat(), 0, Some(1000)),
        ([vec![1000; 44], vec![0; 6]].concat(), 0, None),
        ([vec![1000; 30], vec![20; 20]].concat(), 20, None),
        // The newest count.
        ([vec![0; 50], vec![1000; 50]].concat(), 0, None),
        ([vec![1000; 50], vec![0; 50]].concat(), 0, Some(1000)),
    ];
    for (before, bytes, usual) in rows {
        let found = of(run((1, Some(bytes))), None, &printed(&before));
        let expected = usual.map(|usual| Quiet { printed: bytes, usual });
        assert_eq!(found, Unusual { quiet: expected, fast: None }, "{bytes} after {before:?}");
    }
    // Where output is not captured, nobody knows.
    assert!(of(run((1, None)), None, &printed(&[1000; 50])).is_none());
    assert!(of(run((1, Some(0))), None, &took(&[1; 50])).is_none());
}

#[test]
fn what_is_fast() {
    // (how long those before took, how long this one, what is usual if it is fast; all in seconds)
    let rows: [(Vec<u64>, u64, Option<u64>); 9] = [
        (vec![60; 10], 5, Some(60)),
        (vec![60; 10], 6, None),
        (vec![60; 9], 0, None),
        // A job that is short is not too short.
        (vec![59; 50], 0, None),
        (vec![3600; 50], 359, Some(3600)),
        (vec![3600; 50], 360, None),
        ([vec![3600; 45], vec![1; 5]].concat(), 2, Some(3600)),
        // It is done with nothing now and then.
        ([vec![3600; 44], vec![1; 6]].concat(), 2, None),
        ([vec![1; 50], vec![3600; 50]].concat(), 2, None),
    ];
    for (before, secs, usual) in rows {
        let found = of(run((1000 * secs, None)), None, &took(&before));
        let span = Duration::from_secs;
        let expected = usual.map(|usual| Fast { took: span(secs), usual: span(usual) });
        assert_eq!(found, Unusual { quiet: None, fast: expected }, "{secs} after {before:?}");
    }
    // By `warn_after` it is slow.
    let warn_after = |secs| Some(Duration::from_secs(secs));
    assert!(of(run((5000, None)), warn_after(4), &took(&[60; 10])).is_none());
    assert!(!of(run((5000, None)), warn_after(5), &took(&[60; 10])).is_none());
}

#[test]
fn in_words() {
    let (secs, none) = (Duration::from_secs, Unusual::default());
    let quiet = |printed| Unusual { quiet: Some(Quiet { printed, usual: 1024 }), ..none };
    let fast = Some(Fast { took: secs(2), usual: secs(300) });
    let said = |unusual: Unusual| {
        let remarks = unusual.remarks().into_iter();
        let remarks: Vec<String> =
            remarks.map(|(word, what, usual)| format!("{word}: {what} ({usual})")).collect();
        let sentences = unusual.sentences().into_iter().map(|(_, text)| text);
        (remarks.join("; "), sentences.collect::<Vec<_>>().join("; "))
    };
    let rows = [
        (none, "", ""),
        (
            quiet(0),
            "quiet: printed nothing (usually 1.0 KiB)",
            "it printed nothing: usually it prints 1.0 KiB",
        ),
        (
            Unusual { fast, ..quiet(12) },
            "quiet: printed only 12 bytes (usually 1.0 KiB); fast: took 2s (usually 5m)",
            "it printed only 12 bytes: usually it prints 1.0 KiB; \
             it took only 2s: usually it takes 5m",
        ),
    ];
    for (unusual, remarks, sentences) in rows {
        assert_eq!(said(unusual), (remarks.to_owned(), sentences.to_owned()));
    }
}

fn any_run() -> impl Strategy<Value = (u64, Option<u64>)> {
    let millis = prop_oneof![0u64..100, 50_000u64..70_000, 0u64..10_000_000];
    let bytes = prop_oneof![Just(0u64), 0u64..300, 0u64..100_000, Just(u64::MAX)];
    (millis, proptest::option::of(bytes))
}

proptest! {
    /// Whatever a job has done: with fewer than ten runs nothing is out of the ordinary, no run is both fast and
    /// slow, and what is found survives being written down.
    #[test]
    fn never_both_and_never_too_early(
        before in proptest::collection::vec(any_run(), 0..70),
        this in any_run(),
        warn_after in proptest::option::of(0u64..10_000_000),
    ) {
        let (before, this): (Vec<Success>, _) = (before.into_iter().map(run).collect(), run(this));
        let warn_after = warn_after.map(Duration::from_millis);
        let found = of(this, warn_after, &before);
        prop_assert!(before.len() >= 10 || found.is_none());
        let is_slow = slow::why(this.took, warn_after, &before).is_some();
        prop_assert!(found.fast.is_none() || !is_slow);
        if let Some(quiet) = found.quiet {
            prop_assert!(Some(quiet.printed) == this.printed && quiet.printed < quiet.usual);
        }
        if let Some(fast) = found.fast {
            prop_assert!(fast.took == this.took && fast.usual >= Duration::from_secs(60));
        }
        prop_assert_eq!(of_json(&to_json(RunId(7), found)), Some((RunId(7), found)));
    }
}
