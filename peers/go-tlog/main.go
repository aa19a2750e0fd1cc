// Peer: checks a log's checkpoints and tiles with the Go team's verifier of transparency logs.
//
// It reads the newest checkpoint, computes the root from tiles, and checks that the first, the last
// and a middle entry are in the tree, and that the tree extends an older checkpoint, if one is given.
// It prints the checkpoint's size. Or it checks a proof file (C2SP tlog-proof) of an entry, and prints
// the index.
//
//	go-tlog URL KEY [OLD-CHECKPOINT-FILE]
//	go-tlog proof PROOF-FILE ENTRY-FILE KEY
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is the only height in C2SP tlog-tiles.
const tileHeight = 8

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go-tlog:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("usage: go-tlog URL KEY [OLD-CHECKPOINT-FILE]")
	}
	if arguments[0] == "proof" && len(arguments) == 4 {
		return checkProof(arguments[1], arguments[2], arguments[3])
	}
	url, key := arguments[0], arguments[1]
	text, err := get(url + "/tlog/checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(text, key)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	hashes := tlog.TileHashReader(tree, tiles{url})
	if root, err := tlog.TreeHash(tree.N, hashes); err != nil || root != tree.Hash {
		return fmt.Errorf("the tiles make the root %v, not %v: %v", root, tree.Hash, err)
	}
	for _, index := range []int64{0, tree.N / 2, tree.N - 1} {
		if err := prove(url, tree, hashes, index); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
	}
	if len(arguments) > 2 {
		text, err := os.ReadFile(arguments[2])
		if err != nil {
			return err
		}
		old, err := open(text, key)
		if err != nil {
			return fmt.Errorf("old checkpoint: %w", err)
		}
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return fmt.Errorf("the log does not go on from size %d: %w", old.N, err)
		}
	}
	fmt.Println(tree.N)
	return nil
}

// checkProof checks that an entry is in the log by its proof file alone.
func checkProof(proofFile, entryFile, key string) error {
	text, err := os.ReadFile(proofFile)
	if err != nil {
		return err
	}
	entry, err := os.ReadFile(entryFile)
	if err != nil {
		return err
	}
	head, checkpoint, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("no proof file")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := open([]byte(checkpoint), key)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(entry)
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(digest[:])); err != nil {
		return err
	}
	fmt.Println(index)
	return nil
}

// open verifies a checkpoint. Only its first line differs from that of the Go checksum database.
func open(text []byte, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, rest, _ := strings.Cut(signed.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("it is of %s, not of %s", origin, verifier.Name())
	}
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

// prove checks that the entry with this index, as the log publishes it, is in the tree.
func prove(url string, tree tlog.Tree, hashes tlog.HashReader, index int64) error {
	tile := tlog.Tile{H: tileHeight, L: -1, N: index / 256, W: int(min(256, tree.N-index/256*256))}
	bundle, err := get(url + "/tlog/" + path(tile))
	if err != nil {
		return err
	}
	for at := index % 256; at > 0; at-- {
		bundle = bundle[2+binary.BigEndian.Uint16(bundle):]
	}
	entry := bundle[2 : 2+binary.BigEndian.Uint16(bundle)]
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// path is that of C2SP tlog-tiles, which leaves out the height, and calls data entries.
func path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	return "tile/" + strings.Replace(rest, "data/", "entries/", 1)
}

// tiles reads from a server.
type tiles struct{ url string }

func (tiles) Height() int { return tileHeight }

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (from tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		bytes, err := get(from.url + "/tlog/" + path(tile))
		if err != nil {
			return nil, err
		}
		found = append(found, bytes)
	}
	return found, nil
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return body.Bytes(), nil
}
