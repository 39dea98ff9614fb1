// Wordcount counts words: an ordinary program that knows nothing of Wharf.
//
// It reads /in/text and writes /out/counts, one word with its count a line,
// separated by a tab, the most frequent first.
package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
)

// entry is one line of the result.
type entry struct {
	word  string
	count int
}

func main() {
	top := flag.Int("top", 0, "write only the `N` most frequent words; 0 for all")
	flag.Parse()
	if err := run(*top); err != nil {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

func run(top int) error {
	text, err := os.Open("/in/text")
	if err != nil {
		return err
	}
	defer text.Close()
	counts, err := count(text)
	if err != nil {
		return err
	}
	return write("/out/counts", ranked(counts, top))
}

// count splits the text at everything that is neither letter nor digit.
func count(text io.Reader) (map[string]int, error) {
	counts := make(map[string]int)
	reader := bufio.NewReaderSize(text, 1<<20)
	for {
		line, err := reader.ReadString('\n')
		for _, word := range strings.FieldsFunc(line, isSeparator) {
			counts[strings.ToLower(word)]++
		}
		if err == io.EOF {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func isSeparator(letter rune) bool {
	return !unicode.IsLetter(letter) && !unicode.IsDigit(letter)
}

// ranked sorts by count, then by word: a map has no order to rely on.
func ranked(counts map[string]int, top int) []entry {
	entries := make([]entry, 0, len(counts))
	for word, count := range counts {
		entries = append(entries, entry{word, count})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.word, b.word))
	})
	if top > 0 && top < len(entries) {
		entries = entries[:top]
	}
	return entries
}

func write(path string, entries []entry) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(file)
	for _, e := range entries {
		fmt.Fprintf(buffer, "%s\t%d\n", e.word, e.count)
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	return file.Close()
}
