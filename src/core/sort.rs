//! Sorting for lists that are short, or sorted once.
//!
//! The library's sorts are compiled anew for each type and each order, some 5 KB every time, and in a
//! program that has dozens of such lists that is a twentieth of it. Here the numbers of the places are
//! sorted, by code that there is once, and then things are put where they belong. All of it is stable.

use std::cmp::Ordering;

/// Lists of up to so many things are sorted where they are.
const FEW: usize = 20;

/// In the order of the things themselves.
pub(crate) fn all<T: Ord>(things: &mut [T]) {
    by(things, T::cmp);
}

/// In the order of what is found in them.
pub(crate) fn by_key<T, K: Ord>(things: &mut [T], key: impl Fn(&T) -> K) {
    by(things, |one, two| key(one).cmp(&key(two)));
}

/// In this order.
pub(crate) fn by<T>(things: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    if things.len() <= FEW {
        for end in 1..things.len() {
            let mut place = end;
            while place > 0 && order(&things[place], &things[place - 1]).is_lt() {
                things.swap(place, place - 1);
                place -= 1;
            }
        }
        return;
    }
    let mut places = places(things.len(), &|one, two| order(&things[one], &things[two]));
    // Each circle of things that take each other's place is gone round once.
    for start in 0..things.len() {
        let mut place = start;
        loop {
            let from = std::mem::replace(&mut places[place], place);
            if from == start {
                break;
            }
            things.swap(place, from);
            place = from;
        }
    }
}

/// A map or a set of these, put in one by one: `collect` sorts them first.
pub(crate) fn collect<T, M: Default + Extend<T>>(things: impl IntoIterator<Item = T>) -> M {
    let mut all = M::default();
    all.extend(things);
    all
}

/// Where the things are that belong to each place.
#[inline(never)]
fn places(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|one, two| order(*one, *two));
    places
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_library_does(numbers in vec(0_u8..20, 0..100)) {
            let numbered = numbers.iter().copied().zip(0_u32..);
            let mut ours: Vec<(u8, u32)> = numbered.collect();
            let mut theirs = ours.clone();
            super::by_key(&mut ours, |(number, _)| *number);
            theirs.sort_by_key(|(number, _)| *number);
            prop_assert_eq!(&ours, &theirs);
            ours.reverse();
            super::all(&mut ours);
            prop_assert_eq!(ours, theirs);
        }
    }
}
