use rand::{SeedableRng, rngs::StdRng};

use super::*;

fn draw(seed: u64, spec: &PlantedSpec) -> Dataset {
    planted(&mut StdRng::seed_from_u64(seed), spec).unwrap()
}

/// Asserts that a network has exactly the numbers of its specification.
#[track_caller]
fn assert_numbers(dataset: &Dataset, spec: &PlantedSpec) {
    assert_sound(dataset);
    for (class, (name, size)) in spec.class_sizes.iter().enumerate() {
        assert_eq!(&dataset.classes[class], name);
        assert_eq!(dataset.labels.iter().filter(|&&label| label == class as i32).count(), *size);
    }
    assert_eq!(dataset.n_edge(), 2 * spec.n_edge + dataset.n_node());
    assert_eq!(words(dataset).n_nonzero(), spec.n_nonzero);
    assert_eq!(dataset.n_feat(), spec.n_word);
    if spec.n_edge > 0 {
        assert_eq!(dataset.homophily(), spec.n_edge_inside as f64 / spec.n_edge as f64);
    }
    let lengths = (0..dataset.n_node()).map(|node| words(dataset).row(node).0.len());
    assert!(lengths.into_iter().all(|n| (1..=30).contains(&n)));
}

#[test]
fn karate_is_the_published_club() {
    let club = karate();
    assert_sound(&club);
    assert_eq!((club.n_node(), club.n_edge(), club.n_class(), club.n_feat()), (34, 2 * 78 + 34, 4, 34));
    let degree = |member| club.receivers.iter().filter(|&&receiver| receiver == member).count() - 1;
    assert_eq!([0, 1, 2, 11, 32, 33].map(degree), [16, 9, 10, 1, 12, 17]);
    assert_eq!([0, 1, 2, 3].map(|class| club.labels.iter().filter(|&&label| label == class).count()), [13, 12, 4, 5]);
    let split = Split::public(&club).unwrap();
    assert_eq!(split.train, [0, 4, 8, 24]);
    assert_eq!((split.val.len(), split.test.len()), (10, 20));
}

#[test]
fn planted_has_the_numbers_of_cora() {
    let spec = PlantedSpec::cora();
    let dataset = draw(7, &spec);
    assert_numbers(&dataset, &spec);
    assert_eq!((dataset.n_node(), dataset.n_edge(), words(&dataset).n_nonzero()), (2708, 13264, 49216));
    let split = Split::public(&dataset).unwrap();
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (140, 500, 1000));
    let mut degrees = vec![-1; dataset.n_node()];
    dataset.receivers.iter().for_each(|&node| degrees[node as usize] += 1);
    degrees.sort_unstable();
    assert!(degrees[0] >= 1, "no node is alone");
    assert!(degrees[1354] <= 4 && degrees[2707] >= 30, "degrees are heavy-tailed");
    let mut papers = vec![0; dataset.n_feat()];
    words(&dataset).columns.iter().for_each(|&word| papers[word as usize] += 1);
    papers.sort_unstable();
    assert!(papers[716] <= 40 && (800..1400).contains(&papers[1432]), "few words are frequent");
}

#[test]
fn one_stream_gives_one_network() {
    let spec = PlantedSpec::cora();
    assert_eq!(draw(7, &spec), draw(7, &spec));
    assert_ne!(draw(7, &spec).sha256, draw(8, &spec).sha256);
    // A counter in place of a generator, so that the bits depend on nothing but this module and the distributions.
    struct Counter(u64);
    impl rand::TryRng for Counter {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.try_next_u64().map(|word| (word >> 32) as u32)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Ok(word ^ (word >> 31))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill_with(|| self.0 as u8);
            Ok(())
        }
    }
    let dataset = planted(&mut Counter(0), &spec.scaled(100)).unwrap();
    assert_eq!(dataset.sha256, "6b90b6a52465bae6b037098928de24f6d2e452cb75db48017b49d8c6de833176");
}

#[test]
fn planted_comes_in_other_sizes() {
    for n_node in [7, 20, 50, 137, 1000, 5416] {
        let spec = PlantedSpec::cora().scaled(n_node);
        assert_eq!(spec.class_sizes.iter().map(|(_, size)| size).sum::<usize>(), n_node);
        let dataset = draw(1, &spec);
        assert_numbers(&dataset, &spec);
        assert!(!dataset.default_split.unwrap().train.is_empty());
    }
    assert_eq!(PlantedSpec::cora().scaled(2708), PlantedSpec::cora());
    assert_eq!(PlantedSpec::cora().scaled(5416).n_edge, 2 * 5278);
    assert_eq!(PlantedSpec::cora().scaled(0).class_sizes.len(), 7);
}

#[test]
fn a_full_network_is_drawn_too() {
    let class_sizes = vec![("a".into(), 6), ("b".into(), 4)];
    let spec = PlantedSpec { class_sizes, n_edge: 45, n_edge_inside: 21, n_word: 5, n_nonzero: 50 };
    assert_numbers(&draw(0, &spec), &spec);
    let one_class =
        PlantedSpec { class_sizes: vec![("a".into(), 5)], n_edge: 4, n_edge_inside: 4, n_word: 1, n_nonzero: 5 };
    assert_numbers(&draw(0, &one_class), &one_class);
}

#[test]
fn impossible_numbers_are_refused() {
    let cora = PlantedSpec::cora;
    let empty = PlantedSpec { class_sizes: vec![("a".into(), 0)], ..cora() };
    for (spec, part) in [
        (PlantedSpec { class_sizes: Vec::new(), ..cora() }, "there is no class"),
        (empty, "class `a` has no node"),
        (PlantedSpec { n_nonzero: 2707, ..cora() }, "between 2708 and 81240 words, not 2707"),
        (PlantedSpec { n_nonzero: 81241, ..cora() }, "not 81241"),
        (PlantedSpec { n_word: 0, ..cora() }, "words"),
        (PlantedSpec { n_edge: 4000, ..cora() }, "4275 edges within classes are more than 4000"),
        (PlantedSpec { n_edge: 9_000_000, ..cora() }, "edges fit within classes"),
        (PlantedSpec { class_sizes: vec![("a".into(), usize::MAX), ("b".into(), 2)], ..cora() }, "limited to"),
    ] {
        assert_fails(planted(&mut StdRng::seed_from_u64(0), &spec), &["planted network", part]);
    }
}
