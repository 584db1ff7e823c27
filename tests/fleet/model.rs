//! Every order of events of two hosts and a few due times: the protocol without its clocks.
//!
//! A search breadth first over all states, with a hash set: the configurations here have at most some
//! hundred thousand, so a library for it would only be one more thing to build. Time is what it may be:
//! a lease may pass whenever a host does not beat. `SCHEDRS_FLEET_MODEL=1` adds larger configurations.

use std::collections::{HashSet, VecDeque};

/// The most due times of a configuration.
const DUES: usize = 2;

/// The most processes that a run has with `on_lost = "run_again"`.
const ATTEMPTS: u8 = 3;

/// The fate of a due time in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    None,
    /// A host has claimed it. An engine without transactions has the claim before it looks whether
    /// the host is gone: until then it is not confirmed.
    Claimed {
        by: usize,
        confirmed: bool,
    },
    /// It is lost, or over.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Store {
    fates: [Fate; DUES],
    gone: [bool; 2],
    /// Who has told again what it knows in the new generation.
    told: [bool; 2],
    new_generation: bool,
    /// How many beats more than it has acknowledged it has had of each: fewer, if it has forgotten some.
    ahead: [i8; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Up {
    Runs,
    Stopped,
    Dead,
}

/// What a store has answered to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flight {
    due: usize,
    won: bool,
    confirmed: bool,
    /// How many beats more it has had than it has acknowledged.
    beats: i8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Host {
    up: Up,
    /// It has not beaten for a lease.
    silent: bool,
    trusted: bool,
    /// Due times of which it knows that they have a fate.
    knows: [bool; DUES],
    /// Claims that it has won and not begun.
    holds: [bool; DUES],
    mine: [bool; DUES],
    /// Processes that are there, those that have ended and of which the store does not know, and those
    /// that were ended because others were about to begin them again.
    alive: [bool; DUES],
    ended: [bool; DUES],
    killed: [bool; DUES],
    /// A claim on its way to the store.
    sent: Option<usize>,
    /// One on its way back, whether it was won, and whether it is confirmed.
    flight: Option<Flight>,
    /// It knows that it is gone, or that the other is.
    fenced: bool,
    other_is_gone: bool,
    /// It has decided to call the other dead.
    reaps: bool,
    /// It knows of the new generation, and has seen that all others in it have told again what they
    /// know, or are dead.
    aware: bool,
    open: bool,
    /// It has a connection to the server that there is: the first thing on a new one is a beat.
    linked: bool,
    /// Processes that have ended, as the store has acknowledged.
    reported: [bool; DUES],
    /// A commit has shown that the store has forgotten something: first a beat.
    back: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    store: Store,
    hosts: [Host; 2],
    past: Option<Store>,
    went_back: bool,
    starts: [u8; DUES],
    crashes: u8,
    stops: u8,
    lost_answers: u8,
    backs: u8,
    /// A host has begun a run although the store called it dead. (If the store has forgotten, a host
    /// may be alive in it for a moment that others then call dead again: that is not promised.)
    begun_when_gone: bool,
    /// The store has forgotten that a process has ended, and its host has not noticed with its next beat.
    unnoticed: bool,
}

/// What may happen, and which parts of the protocol are missing.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    dues: usize,
    crashes: u8,
    stops: u8,
    lost_answers: u8,
    backs: u8,
    /// The store that has forgotten is the same server: only the beats show it.
    same: bool,
    /// The engine has no transactions: claim, then confirm.
    two_steps: bool,
    /// `on_lost = "run_again"`; otherwise what the dead have left is lost.
    again: bool,
    no_ending: bool,
    no_fence: bool,
    trust_from_the_answer: bool,
    no_comparison: bool,
    no_confirmation: bool,
    no_barrier: bool,
    no_tombstones: bool,
    no_telling: bool,
    /// The store counts beats without a look at how many it has acknowledged.
    no_acked: bool,
}

impl State {
    fn first(rules: Rules) -> State {
        let host = Host {
            up: Up::Runs,
            silent: false,
            trusted: true,
            knows: [false; DUES],
            holds: [false; DUES],
            mine: [false; DUES],
            alive: [false; DUES],
            ended: [false; DUES],
            killed: [false; DUES],
            sent: None,
            flight: None,
            fenced: false,
            other_is_gone: false,
            reaps: false,
            aware: false,
            open: false,
            linked: true,
            reported: [false; DUES],
            back: false,
        };
        State {
            store: Store {
                fates: [Fate::None; DUES],
                gone: [false; 2],
                told: [false; 2],
                new_generation: false,
                ahead: [0; 2],
            },
            hosts: [host.clone(), host],
            past: None,
            went_back: false,
            starts: [0; DUES],
            crashes: rules.crashes,
            stops: rules.stops,
            lost_answers: rules.lost_answers,
            backs: rules.backs,
            begun_when_gone: false,
            unnoticed: false,
        }
    }

    /// What is wrong with it.
    fn broken(&self, rules: Rules) -> Option<&'static str> {
        if !rules.again && self.starts.iter().any(|starts| *starts > 1) {
            return Some("twice");
        }
        let [one, other] = &self.hosts;
        if one.alive.iter().zip(other.alive).any(|(here, there)| *here && there) {
            return Some("beside itself");
        }
        if self.begun_when_gone {
            return Some("begun when gone");
        }
        let left = |fate: &Fate| matches!(*fate, Fate::Claimed { by, confirmed: true } if self.store.gone[by]);
        let is_open = self.unnoticed || self.store.fates.iter().any(left);
        is_open.then_some("open for ever")
    }

    /// All that may happen next.
    fn next(&self, rules: Rules) -> Vec<State> {
        let mut all = Vec::new();
        for h in 0..2 {
            self.of_host(h, rules, &mut all);
            for due in 0..rules.dues {
                self.of_due(h, due, rules, &mut all);
            }
        }
        if self.backs > 0 {
            if self.past.is_none() {
                all.push(State { past: Some(self.store.clone()), ..self.clone() });
            } else if let Some(past) = self.past.clone() {
                let backs = self.backs - 1;
                let mut next =
                    State { store: past, past: None, went_back: true, backs, ..self.clone() };
                for host in &mut next.hosts {
                    // What was on its way to the old server is not the new one's. The same may be
                    // connected to again by the next call, whichever that is.
                    host.sent = None;
                    host.linked = rules.same;
                }
                all.push(next);
            }
        }
        all
    }

    fn of_host(&self, h: usize, rules: Rules, all: &mut Vec<State>) {
        let host = &self.hosts[h];
        let mut add = |change: &dyn Fn(&mut State)| {
            let mut next = self.clone();
            change(&mut next);
            all.push(next);
        };
        if host.up != Up::Dead && self.crashes > 0 {
            add(&|next| {
                next.crashes -= 1;
                next.hosts[h].up = Up::Dead;
                // Its processes end with it.
                next.hosts[h].alive = [false; DUES];
            });
        }
        if host.up == Up::Runs && self.stops > 0 {
            add(&|next| {
                next.stops -= 1;
                next.hosts[h].up = Up::Stopped;
            });
        }
        if host.up == Up::Stopped {
            add(&|next| next.hosts[h].up = Up::Runs);
        }
        if !host.silent && !rules.same {
            // A lease passes. What is trusted from the sending is trusted for less than that.
            add(&|next| {
                next.hosts[h].silent = true;
                next.hosts[h].trusted = false;
                if rules.again && !rules.no_ending {
                    next.hosts[h].end_in_time();
                }
            });
        }
        if let Some(due) = host.sent {
            // Whatever has become of the host meanwhile.
            add(&|next| next.claim(h, due, rules));
        }
        if host.up != Up::Runs || host.fenced || host.sent.is_some() {
            return;
        }
        if let Some(Flight { due, won, confirmed, beats }) = host.flight {
            if !confirmed {
                add(&|next| next.confirm(h, due));
                return;
            }
            add(&|next| {
                next.acknowledge(h, beats, rules);
                let host = &mut next.hosts[h];
                host.flight = None;
                host.knows[due] = true;
                host.holds[due] |= won;
                host.mine[due] |= won;
                host.trusted |= !host.silent || rules.trust_from_the_answer;
            });
            if self.lost_answers > 0 {
                add(&|next| {
                    next.lost_answers -= 1;
                    next.hosts[h].flight = None;
                });
            }
            return;
        }
        add(&|next| next.beat(h, rules));
        if self.lost_answers > 0 && rules.same && !self.store.gone[h] {
            add(&|next| {
                next.lost_answers -= 1;
                next.count(h, rules);
            });
        }
        let other = 1 - h;
        if self.hosts[other].silent && !host.reaps && !host.other_is_gone {
            add(&|next| next.hosts[h].reaps = true);
        }
        if host.reaps {
            add(&|next| {
                next.hosts[h].reaps = false;
                if !next.store.gone[h] && (next.hosts[other].silent || rules.no_comparison) {
                    next.call_dead(h, rules);
                }
            });
        }
        if host.aware && !self.store.told[h] && !self.store.gone[h] {
            add(&|next| next.tell(h, rules));
        }
    }

    fn of_due(&self, h: usize, due: usize, rules: Rules, all: &mut Vec<State>) {
        let host = &self.hosts[h];
        if rules.again {
            self.of_process(h, due, rules, all);
        }
        let runs = host.up == Up::Runs && !host.fenced && host.trusted;
        let runs =
            runs && host.linked && !host.back && host.sent.is_none() && host.flight.is_none();
        if !runs || !self.is_open(h, rules) {
            return;
        }
        if host.holds[due] {
            let mut next = self.clone();
            next.hosts[h].holds[due] = false;
            next.starts[due] += 1;
            next.hosts[h].alive[due] = rules.again;
            next.begun_when_gone |= self.store.gone[h] && !self.went_back;
            all.push(next);
        }
        let is_home = h == 0 || host.other_is_gone;
        if is_home && !host.knows[due] {
            let mut next = self.clone();
            next.hosts[h].sent = Some(due);
            all.push(next);
        }
    }

    /// A process ends, and the store is told of it.
    fn of_process(&self, h: usize, due: usize, rules: Rules, all: &mut Vec<State>) {
        let host = &self.hosts[h];
        if host.alive[due] {
            let mut next = self.clone();
            next.hosts[h].alive[due] = false;
            next.hosts[h].ended[due] = true;
            all.push(next);
        }
        let reaches = host.up == Up::Runs && !host.fenced && host.linked && !host.back;
        if host.ended[due] && reaches && host.sent.is_none() && host.flight.is_none() {
            let mut next = self.clone();
            if self.store.gone[h] {
                next.hosts[h].ended[due] = false;
                next.hosts[h].fenced = true;
            } else if next.count(h, rules) {
                next.hosts[h].ended[due] = false;
                next.store.fates[due] = Fate::Over;
                next.hosts[h].reported[due] = true;
                next.acknowledge(h, next.store.ahead[h], rules);
            } else {
                next.hosts[h].back = true;
            }
            all.push(next);
        }
    }

    /// Whether a host that knows of a new generation may begin something in it.
    fn is_open(&self, h: usize, rules: Rules) -> bool {
        let host = &self.hosts[h];
        !host.aware || (self.store.told[h] && (rules.no_barrier || host.open))
    }

    /// A claim reaches the store.
    fn claim(&mut self, h: usize, due: usize, rules: Rules) {
        self.hosts[h].sent = None;
        if self.store.gone[h] && !rules.no_fence && !rules.two_steps {
            self.hosts[h].fenced = true;
            return;
        }
        if !self.store.gone[h] && !self.count(h, rules) {
            self.hosts[h].back = true;
            return;
        }
        let is_confirmed = !rules.two_steps || rules.no_confirmation;
        if self.store.fates[due] == Fate::None {
            self.store.fates[due] = Fate::Claimed { by: h, confirmed: is_confirmed };
        }
        let won = matches!(self.store.fates[due], Fate::Claimed { by, .. } if by == h);
        let beats = self.store.ahead[h];
        self.hosts[h].flight = Some(Flight { due, won, confirmed: is_confirmed, beats });
        if is_confirmed && !self.store.gone[h] {
            self.hosts[h].silent = false;
        }
    }

    /// One more beat of a host that is not gone. Answers whether the store has counted it.
    fn count(&mut self, h: usize, rules: Rules) -> bool {
        if rules.same {
            if self.store.ahead[h] < 0 && !rules.no_acked {
                return false;
            }
            self.store.ahead[h] += 1;
            self.hosts[h].silent = false;
        }
        true
    }

    /// A host hears how many beats the store has had of it.
    fn acknowledge(&mut self, h: usize, beats: i8, rules: Rules) {
        if rules.same {
            self.hosts[h].back |= beats <= 0;
            for store in [Some(&mut self.store), self.past.as_mut()].into_iter().flatten() {
                // One that is so far behind does not catch up by answers that are lost.
                store.ahead[h] = (store.ahead[h] - beats).max(-3);
            }
        }
    }

    /// The second step of a claim: a beat that fails if the host is gone.
    fn confirm(&mut self, h: usize, due: usize) {
        if self.store.gone[h] {
            self.hosts[h].fenced = true;
            self.hosts[h].flight = None;
            return;
        }
        if let Fate::Claimed { by, confirmed } = &mut self.store.fates[due]
            && *by == h
        {
            *confirmed = true;
        }
        let won = matches!(self.store.fates[due], Fate::Claimed { by, .. } if by == h);
        self.hosts[h].flight = Some(Flight { due, won, confirmed: true, beats: 0 });
        self.hosts[h].silent = false;
    }

    fn beat(&mut self, h: usize, rules: Rules) {
        if self.store.gone[h] {
            self.hosts[h].fenced = true;
            // What others may have begun again is over here.
            self.hosts[h].alive = [false; DUES];
            return;
        }
        self.count(h, rules);
        self.acknowledge(h, self.store.ahead[h], rules);
        let back = std::mem::take(&mut self.hosts[h].back);
        let is_noticed = if rules.same { back } else { self.went_back };
        if is_noticed && !self.store.new_generation {
            self.store.new_generation = true;
            self.store.told = [false; 2];
        }
        let is_new = self.store.new_generation;
        let host = &mut self.hosts[h];
        let is_open =
            |due: usize| matches!(self.store.fates[due], Fate::Claimed { by, .. } if by == h);
        let has_told = !is_new || self.store.told[h];
        self.unnoticed |= has_told && (0..DUES).any(|due| host.reported[due] && is_open(due));
        host.silent = false;
        host.trusted = true;
        host.linked = true;
        host.aware |= is_new;
        host.open = is_new && (self.store.told[1 - h] || self.store.gone[1 - h]);
        // It was not given up after all, and begins again itself what it has ended.
        for due in 0..DUES {
            let killed = std::mem::take(&mut host.killed[due]);
            host.holds[due] |= killed && self.starts[due] < ATTEMPTS;
        }
    }

    /// The other is gone; its jobs are taken up.
    fn call_dead(&mut self, h: usize, rules: Rules) {
        let other = 1 - h;
        self.store.gone[other] = true;
        let may_have_begun =
            self.store.new_generation && !self.store.told[other] && !rules.no_tombstones;
        let host = &mut self.hosts[h];
        for (due, fate) in self.store.fates.iter_mut().enumerate() {
            let begun = matches!(*fate, Fate::Claimed { by, confirmed: true } if by == other);
            let is_its = matches!(*fate, Fate::Claimed { by, .. } if by == other);
            if begun && rules.again && self.starts[due] < ATTEMPTS {
                // A run goes on here. One that is this host's already the store has forgotten.
                *fate = Fate::Claimed { by: h, confirmed: true };
                host.holds[due] |= !host.mine[due];
                host.mine[due] = true;
            } else if is_its || (may_have_begun && *fate == Fate::None) {
                *fate = Fate::Over;
            }
        }
        host.other_is_gone = true;
        for due in 0..DUES {
            host.knows[due] |= self.store.fates[due] != Fate::None;
        }
    }

    /// All that a host knows is told again: fates, and that the other is gone.
    fn tell(&mut self, h: usize, rules: Rules) {
        self.store.told[h] = true;
        if rules.no_telling {
            return;
        }
        for due in 0..DUES {
            let host = &self.hosts[h];
            if host.reported[due] {
                // Whoever the store thinks has the run: it may have forgotten that it passed to this host.
                self.store.fates[due] = Fate::Over;
            }
            let (knows, mine) = (host.knows[due], host.mine[due] && !host.reported[due]);
            if knows && self.store.fates[due] == Fate::None {
                self.store.fates[due] =
                    if mine { Fate::Claimed { by: h, confirmed: true } } else { Fate::Over };
            }
            let still = matches!(self.store.fates[due], Fate::Claimed { by, .. } if by == h);
            self.hosts[h].holds[due] &= still;
        }
        if self.hosts[h].other_is_gone {
            self.call_dead(h, rules);
        }
    }
}

impl Host {
    /// Others may call it dead from now on, and begin again what runs here.
    fn end_in_time(&mut self) {
        if self.up != Up::Runs {
            return;
        }
        for due in 0..DUES {
            self.killed[due] |= std::mem::take(&mut self.alive[due]);
        }
    }
}

/// Looks at all states: how many there are, or what is broken in one of them.
fn search(rules: Rules) -> Result<usize, &'static str> {
    let first = State::first(rules);
    let mut seen = HashSet::from([first.clone()]);
    let mut queue = VecDeque::from([first]);
    while let Some(state) = queue.pop_front() {
        for next in state.next(rules) {
            if let Some(broken) = next.broken(rules) {
                return Err(broken);
            }
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

const CALM: Rules = Rules {
    dues: 1,
    crashes: 1,
    stops: 1,
    lost_answers: 1,
    backs: 0,
    two_steps: false,
    again: false,
    no_ending: false,
    no_fence: false,
    trust_from_the_answer: false,
    no_comparison: false,
    no_confirmation: false,
    no_barrier: false,
    no_tombstones: false,
    no_telling: false,
    same: false,
    no_acked: false,
};

/// A scheduler that is stopped cannot end what others begin again.
const AGAIN: Rules = Rules { again: true, stops: 0, ..CALM };

const BACK: Rules = Rules { backs: 1, stops: 0, lost_answers: 0, ..CALM };

/// The server crashes and forgets, and is the same afterwards. No host is called dead meanwhile: until
/// those have beaten whose writes are forgotten, and for good if they do not, nobody knows of it.
const CRASH: Rules = Rules { backs: 1, same: true, crashes: 0, lost_answers: 2, ..AGAIN };

#[test]
fn with_all_of_its_parts_nothing_is_broken_in_any_order() {
    let mut all = vec![
        ("calm", CALM),
        ("two steps", Rules { two_steps: true, ..CALM }),
        ("again", AGAIN),
        ("again in two steps", Rules { two_steps: true, ..AGAIN }),
        ("again and back", Rules { again: true, ..BACK }),
        ("back", BACK),
        ("back and a stop", Rules { crashes: 0, stops: 1, ..BACK }),
        ("crash", CRASH),
    ];
    if std::env::var_os("SCHEDRS_FLEET_MODEL").is_some() {
        all.push(("back and all", Rules { backs: 1, ..CALM }));
        let two = |(name, rules): &(&'static str, Rules)| (*name, Rules { dues: 2, ..*rules });
        let more: Vec<_> = all.iter().map(two).collect();
        all.extend(more);
    }
    for (name, rules) in all {
        let found = search(rules);
        println!("{name}: {found:?}");
        assert!(found.is_ok(), "{name}: {found:?}");
    }
}

/// Each part is needed: a row each, with what is broken without it.
#[test]
fn without_one_of_its_parts_something_is_broken() {
    let rows = [
        ("no fence", Rules { no_fence: true, ..CALM }, "open for ever"),
        ("trust from the answer", Rules { trust_from_the_answer: true, ..CALM }, "begun when gone"),
        ("no comparison", Rules { no_comparison: true, ..CALM }, "begun when gone"),
        (
            "no confirmation",
            Rules { two_steps: true, no_confirmation: true, ..CALM },
            "open for ever",
        ),
        ("no ending", Rules { no_ending: true, ..AGAIN }, "beside itself"),
        ("no barrier", Rules { no_barrier: true, ..BACK }, "twice"),
        ("no tombstones", Rules { no_tombstones: true, ..BACK }, "twice"),
        ("no telling", Rules { no_telling: true, ..BACK }, "twice"),
        ("no acked", Rules { no_acked: true, ..CRASH }, "open for ever"),
    ];
    let found: Vec<_> = rows.iter().map(|(name, rules, _)| (*name, search(*rules))).collect();
    let expected: Vec<_> = rows.iter().map(|(name, _, broken)| (*name, Err(*broken))).collect();
    assert_eq!(found, expected);
}
