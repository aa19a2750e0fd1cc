use proptest::prelude::*;
use tlog::{Hash, Tree, leaf_hash, node_hash};

/// RFC 6962 section 2.1, word for word.
fn definition(leaves: &[Vec<u8>]) -> Hash {
    match leaves.len() {
        0 => Tree::new().root(),
        1 => leaf_hash(&leaves[0]),
        n => {
            let k = (n - 1).checked_ilog2().map_or(1, |bits| 1 << bits);
            node_hash(&definition(&leaves[..k]), &definition(&leaves[k..]))
        }
    }
}

fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The eight leaves and roots of the Certificate Transparency reference tests
/// (google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc).
#[test]
fn roots_equal_the_certificate_transparency_vectors() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Tree::new();
    assert_eq!(
        hex(tree.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (leaf, root) in leaves.iter().zip(roots) {
        let data: Vec<u8> = (0..leaf.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&leaf[at..at + 2], 16).unwrap())
            .collect();
        tree.push(&data);
        assert_eq!(hex(tree.root()), root, "size {}", tree.size());
    }
}

proptest! {
    #[test]
    fn the_frontier_gives_the_root_of_the_definition(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..200),
    ) {
        let mut tree = Tree::new();
        for leaf in &leaves {
            tree.push(leaf);
        }
        prop_assert_eq!(tree.size(), leaves.len() as u64);
        prop_assert_eq!(tree.root(), definition(&leaves));
    }
}
