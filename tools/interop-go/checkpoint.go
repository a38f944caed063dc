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

// readKeys reads the public keys: the log's by Go's own package, the witness's, where there is one, by the one that knows cosignatures.
func readKeys(dir string) (keys, error) {
	logKey, err := readKey(dir, "log.vkey", note.NewVerifier)
	if err != nil {
		return keys{}, err
	}
	witnessKey, err := readKey(dir, "witness.vkey", formats.NewVerifierForCosignatureV1)
	if errors.Is(err, os.ErrNotExist) {
		return keys{origin: readOrigin(dir, logKey), log: logKey}, nil
	}
	return keys{origin: readOrigin(dir, logKey), log: logKey, witnesses: []note.Verifier{witnessKey}}, err
}

// readOrigin reads the log's origin, which is the name of its key unless a file says otherwise.
func readOrigin(dir string, logKey note.Verifier) string {
	text, err := os.ReadFile(filepath.Join(dir, "origin"))
	if err != nil {
		return logKey.Name()
	}
	return strings.TrimSuffix(string(text), "\n")
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

// openCheckpoint verifies the signatures of the log and, where there is one, its witness, of a checkpoint of that origin.
func openCheckpoint(signed []byte, keys keys) (tlog.Tree, error) {
	checkpoint, rest, opened, err := log.ParseCheckpoint(signed, keys.origin, keys.log, keys.witnesses...)
	if err != nil {
		return tlog.Tree{}, err
	}
	// The service says in an extension line when it signed; what the library's own tests write, with a witness, has none.
	if (len(rest) > 0 && len(keys.witnesses) > 0) || len(opened.Sigs) != 1+len(keys.witnesses) || len(checkpoint.Hash) != tlog.HashSize {
		return tlog.Tree{}, errors.New("not a checkpoint by the log and its witness")
	}
	return tlog.Tree{N: int64(checkpoint.Size), Hash: tlog.Hash(checkpoint.Hash)}, nil
}
