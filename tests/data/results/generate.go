// SPDX-License-Identifier: Apache-2.0

// Writes golden.json: every result of inputs.json, in every version of its shape, converted to all seven versions by
// the CNI reference implementation. The versions of one shape must agree but for cniVersion, so a case holds one
// document a shape, and null where the reference refuses. How to run it: README.md.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"

	"github.com/containernetworking/cni/pkg/types/create"
)

var shapes = []struct {
	name     string
	versions []string
}{
	{"families", []string{"0.1.0", "0.2.0"}},
	{"versioned", []string{"0.3.0", "0.3.1", "0.4.0"}},
	{"current", []string{"1.0.0", "1.1.0"}},
}

type input struct {
	Name   string          `json:"name"`
	Shape  string          `json:"shape"`
	Result json.RawMessage `json:"result"`
}

type golden struct {
	input
	Families  json.RawMessage `json:"families"`
	Versioned json.RawMessage `json:"versioned"`
	Current   json.RawMessage `json:"current"`
}

type document = map[string]json.RawMessage

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func encode(value interface{}) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(value))
	return bytes.TrimSpace(out.Bytes())
}

func labelled(result json.RawMessage, version string) []byte {
	labelled := document{}
	must(json.Unmarshal(result, &labelled))
	labelled["cniVersion"] = encode(version)
	return encode(labelled)
}

// What the reference makes of text, without cniVersion; null if it refuses.
func convert(text []byte, from, to string) json.RawMessage {
	result, err := create.Create(from, text)
	must(err)
	converted, err := result.GetAsVersion(to)
	if err != nil {
		return json.RawMessage("null")
	}
	var printed bytes.Buffer
	must(converted.PrintTo(&printed))
	out := document{}
	must(json.Unmarshal(printed.Bytes(), &out))
	if string(out["cniVersion"]) != string(encode(to)) {
		log.Fatalf("asked for %s, got %s", to, out["cniVersion"])
	}
	delete(out, "cniVersion")
	return encode(out)
}

func versionsOf(shape string) []string {
	for _, s := range shapes {
		if s.name == shape {
			return s.versions
		}
	}
	log.Fatalf("no shape %q", shape)
	return nil
}

// The one document that all conversions between the versions of two shapes give.
func converted(in input, to []string) json.RawMessage {
	var agreed json.RawMessage
	for _, from := range versionsOf(in.Shape) {
		for _, version := range to {
			out := convert(labelled(in.Result, from), from, version)
			if agreed != nil && !bytes.Equal(agreed, out) {
				log.Fatalf("%s: %s to %s differs", in.Name, from, version)
			}
			agreed = out
		}
	}
	return agreed
}

func main() {
	log.SetFlags(0)
	text, err := os.ReadFile("inputs.json")
	must(err)
	var inputs []input
	must(json.Unmarshal(text, &inputs))
	var lines [][]byte
	for _, in := range inputs {
		lines = append(lines, encode(golden{
			input:     in,
			Families:  converted(in, versionsOf("families")),
			Versioned: converted(in, versionsOf("versioned")),
			Current:   converted(in, versionsOf("current")),
		}))
	}
	out := append([]byte("[\n"), bytes.Join(lines, []byte(",\n"))...)
	must(os.WriteFile("golden.json", append(out, "\n]\n"...), 0o644))
}
