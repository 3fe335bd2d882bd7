// SPDX-License-Identifier: Apache-2.0

// libcni-driver attaches a pod the way a container runtime does: it loads one conflist and lets the real libcni run it.
// The tests use it on both sides of a comparison, the demo uses it as its runtime.
//
//	libcni-driver add|del|check|validate CONFLIST --id ID --netns PATH --ifname IF
//	              [--args "K=V;K2=V2"] [--caps JSON] [--path CNI_PATH] [--cache DIR] [--as VERSION] [--cached]
//
// add prints the result, converted to --as if given. del and check use the list as it is now and libcni's cache of the
// result, as containerd does; --cached uses the list, args and capabilities of the ADD, as CRI-O does. validate runs
// VERSION on every plugin, as CRI-O does when it loads a list. A failure is exit status 1 and one JSON object with the
// plugin's code, msg and details, and `text`: what the runtime logs and looks into. Wrong usage is exit status 2.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

type options struct {
	runtime libcni.RuntimeConf
	path    string
	cache   string
	as      string
	cached  bool
}

func parseOptions(arguments []string) (*options, error) {
	opts := &options{}
	flags := flag.NewFlagSet("libcni-driver", flag.ContinueOnError)
	var args, caps string
	flags.StringVar(&opts.runtime.ContainerID, "id", "", "container id")
	flags.StringVar(&opts.runtime.NetNS, "netns", "", "path of the pod's network namespace")
	flags.StringVar(&opts.runtime.IfName, "ifname", "eth0", "interface in the pod")
	flags.StringVar(&args, "args", "", "CNI_ARGS")
	flags.StringVar(&caps, "caps", "", "capability arguments, a JSON object")
	flags.StringVar(&opts.path, "path", os.Getenv("CNI_PATH"), "directories of the plugins")
	flags.StringVar(&opts.cache, "cache", "", "libcni's cache directory (default /var/lib/cni)")
	flags.StringVar(&opts.as, "as", "", "spec version of the printed result")
	flags.BoolVar(&opts.cached, "cached", false, "del, check: use the list of the ADD")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() != 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for _, pair := range strings.Split(args, ";") {
		if pair == "" {
			continue
		}
		keyValue := strings.SplitN(pair, "=", 2)
		if len(keyValue) != 2 {
			return nil, fmt.Errorf("--args: %q is no K=V", pair)
		}
		opts.runtime.Args = append(opts.runtime.Args, [2]string{keyValue[0], keyValue[1]})
	}
	if caps != "" {
		if err := json.Unmarshal([]byte(caps), &opts.runtime.CapabilityArgs); err != nil {
			return nil, fmt.Errorf("--caps: %v", err)
		}
	}
	return opts, nil
}

// loadList takes the file's kind from its name, as go-cni does.
func loadList(file string) (*libcni.NetworkConfigList, error) {
	if filepath.Ext(file) == ".conflist" {
		return libcni.ConfListFromFile(file)
	}
	single, err := libcni.ConfFromFile(file)
	if err != nil {
		return nil, err
	}
	return libcni.ConfListFromConf(single)
}

func add(cni *libcni.CNIConfig, list *libcni.NetworkConfigList, opts *options) error {
	result, err := cni.AddNetworkList(context.Background(), list, &opts.runtime)
	if err != nil {
		return err
	}
	if opts.as != "" {
		if result, err = result.GetAsVersion(opts.as); err != nil {
			return err
		}
	}
	return result.Print()
}

// fromCache replaces the list and the runtime's arguments by those of the ADD, where they are known.
func fromCache(cni *libcni.CNIConfig, list *libcni.NetworkConfigList, opts *options) (*libcni.NetworkConfigList, error) {
	bytes, runtime, err := cni.GetNetworkListCachedConfig(list, &opts.runtime)
	if err != nil || bytes == nil {
		return list, err
	}
	opts.runtime = *runtime
	return libcni.ConfListFromBytes(bytes)
}

func run(verb string, file string, opts *options) error {
	cni := libcni.NewCNIConfigWithCacheDir(filepath.SplitList(opts.path), opts.cache, nil)
	list, err := loadList(file)
	if err != nil {
		return err
	}
	if opts.cached {
		if list, err = fromCache(cni, list, opts); err != nil {
			return err
		}
	}
	switch verb {
	case "add":
		return add(cni, list, opts)
	case "del":
		return cni.DelNetworkList(context.Background(), list, &opts.runtime)
	case "check":
		return cni.CheckNetworkList(context.Background(), list, &opts.runtime)
	default:
		_, err = cni.ValidateNetworkList(context.Background(), list)
		return err
	}
}

func printError(err error) {
	report := struct {
		Code    uint   `json:"code"`
		Msg     string `json:"msg"`
		Details string `json:"details,omitempty"`
		Text    string `json:"text"`
	}{Code: 999, Msg: err.Error(), Text: err.Error()}
	var plugin *types.Error
	if errors.As(err, &plugin) {
		report.Code, report.Msg, report.Details = plugin.Code, plugin.Msg, plugin.Details
	}
	text, _ := json.Marshal(report) // a struct of strings and a number cannot fail
	fmt.Println(string(text))
}

func main() {
	verbs := map[string]bool{"add": true, "del": true, "check": true, "validate": true}
	if len(os.Args) < 3 || !verbs[os.Args[1]] {
		fmt.Fprintln(os.Stderr, "usage: libcni-driver add|del|check|validate CONFLIST --id ID --netns PATH --ifname IF "+
			"[--args \"K=V;K2=V2\"] [--caps JSON] [--path CNI_PATH] [--cache DIR] [--as VERSION] [--cached]")
		os.Exit(2)
	}
	opts, err := parseOptions(os.Args[3:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "libcni-driver: %v\n", err)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], opts); err != nil {
		printError(err)
		os.Exit(1)
	}
}
