package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/formats/log"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// readKeys reads the public keys: the log's by Go's own package, the witness's by the one that knows cosignatures.
func readKeys(dir string) (keys, error) {
	logKey, err := readKey(dir, "log.vkey", note.NewVerifier)
	if err != nil {
		return keys{}, err
	}
	witnessKey, err := readKey(dir, "witness.vkey", formats.NewVerifierForCosignatureV1)
	return keys{log: logKey, witness: witnessKey}, err
}

func readKey(dir, name string, parse func(string) (note.Verifier, error)) (note.Verifier, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	key, err := parse(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// openCheckpoint verifies both signatures of a checkpoint whose origin is the log's name.
func openCheckpoint(signed []byte, keys keys) (tlog.Tree, error) {
	checkpoint, rest, opened, err := log.ParseCheckpoint(signed, keys.log.Name(), keys.log, keys.witness)
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(rest) > 0 || len(opened.Sigs) != 2 || len(checkpoint.Hash) != tlog.HashSize {
		return tlog.Tree{}, errors.New("not a checkpoint by the log and its witness")
	}
	return tlog.Tree{N: int64(checkpoint.Size), Hash: tlog.Hash(checkpoint.Hash)}, nil
}
