//! Zachary's karate club, a network of 34 members.

use super::{
    Dataset, SparseMatrix, Split,
    dataset::{digest, messages},
};

/// The neighbours of each member with larger numbers, in order.
const FRIENDS: [&[i32]; 34] = [
    &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
    &[2, 3, 7, 13, 17, 19, 21, 30],
    &[3, 7, 8, 9, 13, 27, 28, 32],
    &[7, 12, 13],
    &[6, 10],
    &[6, 10, 16],
    &[16],
    &[],
    &[30, 32, 33],
    &[33],
    &[],
    &[],
    &[],
    &[33],
    &[32, 33],
    &[32, 33],
    &[],
    &[],
    &[32, 33],
    &[33],
    &[32, 33],
    &[],
    &[32, 33],
    &[25, 27, 29, 32, 33],
    &[25, 27, 31],
    &[31],
    &[29, 33],
    &[33],
    &[31, 33],
    &[32, 33],
    &[32, 33],
    &[32, 33],
    &[33],
    &[],
];

/// The community of each member.
const COMMUNITIES: [i32; 34] =
    [1, 1, 1, 1, 3, 3, 3, 1, 0, 1, 3, 1, 1, 1, 0, 0, 3, 1, 0, 1, 0, 1, 0, 0, 2, 2, 0, 0, 2, 0, 0, 2, 0, 0];

/// Zachary's karate club: 34 members, 78 friendships, 4 communities found by modularity, one-hot features.
///
/// Its split trains on the first member of each community, validates on every third of the others (10), and tests on
/// the remaining 20.
///
/// Zachary 1977, "An information flow model for conflict and fission in small groups"; the communities are those of
/// Kipf and Welling 2017, "Semi-supervised classification with graph convolutional networks".
pub fn karate() -> Dataset {
    let friendships =
        FRIENDS.iter().zip(0..).flat_map(|(friends, member)| friends.iter().map(move |&friend| (member, friend)));
    let (senders, receivers) = messages(FRIENDS.len(), friendships);
    let mut features = SparseMatrix::empty(FRIENDS.len());
    for member in 0..34 {
        features.push_normalised(&[(member, 1.0)]).expect("a one does not cancel");
    }
    let mut dataset = Dataset {
        name: "karate".into(),
        ids: (0..34).map(|member| member.to_string()).collect(),
        features: features.into(),
        senders,
        receivers,
        labels: COMMUNITIES.to_vec(),
        classes: (0..4).map(|community| community.to_string()).collect(),
        sha256: String::new(),
        default_split: Some(split()),
    };
    dataset.sha256 = digest(&dataset);
    dataset
}

fn split() -> Split {
    let is_first = |member: usize| !COMMUNITIES[..member].contains(&COMMUNITIES[member]);
    let (train, rest): (Vec<_>, Vec<_>) = (0..34).partition(|&member| is_first(member as usize));
    let (val, test): (Vec<_>, Vec<_>) = rest.iter().enumerate().partition(|(place, _)| place % 3 == 0);
    let nodes = |part: Vec<(usize, &i32)>| part.into_iter().map(|(_, &member)| member).collect();
    Split { train, val: nodes(val), test: nodes(test) }
}
