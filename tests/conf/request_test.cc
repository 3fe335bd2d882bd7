// SPDX-License-Identifier: Apache-2.0
#include "conf/request.h"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "conf/error.h"
#include "tests/support/refusal.h"

using conf::Code;
using conf::Request;
using conf::Verb;
using support::check_refusal;
using support::refusal_of;

namespace {

using Variables = std::map<std::string, std::string>;

Variables valid(const std::string& command) {
  return {{"CNI_COMMAND", command},
          {"CNI_CONTAINERID", "f39eebe3"},
          {"CNI_NETNS", "/var/run/netns/cni-25c39005"},
          {"CNI_IFNAME", "eth0"},
          {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=p1"},
          {"CNI_PATH", "/opt/cni/bin"}};
}

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::vector<std::string>& names) {
  for (const std::string& name : names) variables.erase(name);
  return variables;
}

Request parse(const Variables& variables) {
  return conf::parse_request([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

conf::CniError refused(const Variables& variables) {
  return refusal_of([&] { return parse(variables); });
}

}  // namespace

TEST_SUITE("conf.request") {
  TEST_CASE("A1.1 every verb is taken in upper case") {
    CHECK(parse(valid("ADD")).verb == Verb::kAdd);
    CHECK(parse(valid("DEL")).verb == Verb::kDel);
    CHECK(parse(valid("CHECK")).verb == Verb::kCheck);
    CHECK(parse(valid("STATUS")).verb == Verb::kStatus);
    CHECK(parse(valid("GC")).verb == Verb::kGc);
    CHECK(parse(valid("VERSION")).verb == Verb::kVersion);
  }

  TEST_CASE("A1.1 a verb in another spelling is refused") {
    for (const std::string command : {"add", "Add", "ADD ", "ADDX", "UPDATE"}) {
      CAPTURE(command);
      check_refusal(
          refused(valid(command)), Code::kInvalidEnvironment, "invalid environment variable",
          "CNI_COMMAND is \"" + command + "\": must be ADD, DEL, CHECK, STATUS, GC or VERSION, in upper case");
    }
  }

  TEST_CASE("A1.1 the verbs have the names that the specification gives them") {
    for (const std::string name : {"ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"}) {
      CHECK(conf::verb_name(parse(valid(name)).verb) == name);
    }
  }

  TEST_CASE("A1.2 what a verb needs must be set, and nothing else") {
    struct Need {
      std::string verb;
      std::set<std::string> variables;
    };
    const std::vector<Need> needs = {{"ADD", {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}},
                                     {"CHECK", {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}},
                                     {"DEL", {"CNI_CONTAINERID", "CNI_IFNAME"}},
                                     {"GC", {}},
                                     {"STATUS", {}},
                                     {"VERSION", {}}};
    for (const Need& need : needs) {
      for (const std::string name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH", "CNI_ARGS"}) {
        CAPTURE(need.verb);
        CAPTURE(name);
        const Variables variables = without(valid(need.verb), {name});
        if (need.variables.count(name) == 0) {
          CHECK_NOTHROW(parse(variables));
        } else {
          check_refusal(refused(variables), Code::kInvalidEnvironment, "missing environment variables",
                        need.verb + " needs " + name);
        }
      }
    }
  }

  TEST_CASE("A1.3 all missing variables are named in one error") {
    check_refusal(refused(without(valid("ADD"), {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"})),
                  Code::kInvalidEnvironment, "missing environment variables",
                  "ADD needs CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME");
  }

  TEST_CASE("A1.3 an empty variable counts as missing") {
    check_refusal(refused(with(with(valid("CHECK"), "CNI_NETNS", ""), "CNI_IFNAME", "")), Code::kInvalidEnvironment,
                  "missing environment variables", "CHECK needs CNI_NETNS, CNI_IFNAME");
    check_refusal(refused(valid("")), Code::kInvalidEnvironment, "missing environment variables",
                  "CNI_COMMAND is not set");
  }

  TEST_CASE("A1.3 GC and STATUS take the empty variables that libcni sets") {
    for (const std::string verb : {"GC", "STATUS"}) {
      Variables variables = valid(verb);
      for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"}) variables[name] = "";
      CHECK(parse(variables).id == conf::AttachmentId{});
    }
  }

  TEST_CASE("A1.4 a container id of the permitted characters is taken") {
    for (const std::string id : {"a", "0", "A.b_c-d", "k8s.pod_1-x", "a--", "a.."}) {
      CAPTURE(id);
      CHECK(parse(with(valid("ADD"), "CNI_CONTAINERID", id)).id.container_id == id);
    }
  }

  TEST_CASE("A1.4 a container id of other characters is refused with its value") {
    for (const std::string id : {"-a", "a/b", "a b", "../x", "_a", ".a", "a\xc3\xa4", "a:b"}) {
      CAPTURE(id);
      check_refusal(refused(with(valid("DEL"), "CNI_CONTAINERID", id)), Code::kInvalidEnvironment,
                    "invalid environment variable",
                    "CNI_CONTAINERID is \"" + id +
                        "\": must start with a letter or digit and hold only letters, digits, '_', '.' and '-'");
    }
  }

  TEST_CASE("A1.5 a container id has no limit of length") {
    for (const std::size_t length : {std::size_t{1}, std::size_t{256}, std::size_t{300}, std::size_t{5000}}) {
      const std::string id(length, 'x');
      CHECK(parse(with(valid("ADD"), "CNI_CONTAINERID", id)).id.container_id == id);
    }
  }

  TEST_CASE("A1.6 an interface name of 1 to 15 bytes without separators is taken") {
    for (const std::string name : {"e", "eth0", "fifteen-bytes-x", "a%b", "a@b", "...", "\xc3\xa4\xc3\xb6", "a\x85"}) {
      CAPTURE(name);
      CHECK(conf::is_ifname(name));
      CHECK(parse(with(valid("ADD"), "CNI_IFNAME", name)).id.ifname == name);
    }
  }

  TEST_CASE("A1.6 an interface name that the kernel refuses is refused with its value") {
    for (const std::string name : {"sixteen-bytes-xx", ".", "..", "a/b", "a:b", "a b", "eth0 "}) {
      CAPTURE(name);
      check_refusal(refused(with(valid("ADD"), "CNI_IFNAME", name)), Code::kInvalidEnvironment,
                    "invalid environment variable",
                    "CNI_IFNAME is \"" + name +
                        "\": must have 1 to 15 bytes, no '/', ':' or white space, and not be \".\" or \"..\"");
    }
  }

  TEST_CASE("A1.6 white space in an interface name is refused in ASCII and in Unicode") {
    for (const std::string space : {"\t", "\n", "\v", "\f", "\r", " ", "\u0085", "\u00a0", "\u1680", "\u2000", "\u2003",
                                    "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
      CAPTURE(space);
      CHECK_FALSE(conf::is_ifname("a" + space + "b"));
      CHECK_FALSE(conf::is_ifname(space));
    }
    CHECK(conf::is_ifname("a\u200bb"));  // zero width: no white space to Go
  }

  TEST_CASE("A1.7 only what the verb needs is checked") {
    const Variables junk = with(with(valid("GC"), "CNI_IFNAME", "a/b"), "CNI_CONTAINERID", "../x");
    CHECK(parse(junk).verb == Verb::kGc);
    CHECK(parse(junk).id == conf::AttachmentId{});
  }

  TEST_CASE("A1.8 a network name follows the rule of container ids") {
    for (const char* name : {"k8s-pod-network", "cbr0", "aws-cni", "9"}) CHECK(conf::is_container_id(name));
    for (const char* name : {"", "a/b", "..", "-x", "a b", "n\xc3\xa4"}) CHECK_FALSE(conf::is_container_id(name));
  }

  TEST_CASE("A1.9 DEL does without a netns") {
    CHECK(parse(without(valid("DEL"), {"CNI_NETNS"})).netns.empty());
    CHECK(parse(with(valid("DEL"), "CNI_NETNS", "/var/run/netns/gone")).netns == "/var/run/netns/gone");
  }

  TEST_CASE("A1.10 the netns override is 1 or true in any case") {
    for (const char* value : {"1", "true", "TRUE", "True"}) {
      CAPTURE(value);
      CHECK(parse(with(valid("ADD"), "CNI_NETNS_OVERRIDE", value)).netns_override);
    }
    for (const char* value : {"", "0", "yes", "2", "true "}) {
      CAPTURE(value);
      CHECK_FALSE(parse(with(valid("ADD"), "CNI_NETNS_OVERRIDE", value)).netns_override);
    }
    CHECK_FALSE(parse(valid("ADD")).netns_override);
  }

  TEST_CASE("A1.11 no CNI_COMMAND is an error here and nothing else is looked at") {
    check_refusal(refused({}), Code::kInvalidEnvironment, "missing environment variables", "CNI_COMMAND is not set");
  }

  TEST_CASE("A1.12 VERSION works with the dummies that CRI-O sets") {
    const Request request = parse({{"CNI_COMMAND", "VERSION"},
                                   {"CNI_CONTAINERID", ""},
                                   {"CNI_NETNS", "dummy"},
                                   {"CNI_IFNAME", "dummy"},
                                   {"CNI_PATH", "dummy"}});
    CHECK(request.verb == Verb::kVersion);
  }

  TEST_CASE("A1.13 variables that are not of CNI are not looked at") {
    std::set<std::string> asked;
    const Variables variables = valid("ADD");
    (void)conf::parse_request([&](const char* name) {
      asked.insert(name);
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
    CHECK(asked == std::set<std::string>{"CNI_ARGS", "CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS",
                                         "CNI_NETNS_OVERRIDE", "CNI_PATH"});
  }

  TEST_CASE("a request holds its variables to the byte") {
    const Variables variables = with(valid("ADD"), "CNI_ARGS", "A=b=c;;IgnoreUnknown=1; x=\xff");
    const Request request = parse(variables);
    CHECK(request.id == conf::AttachmentId{.container_id = "f39eebe3", .ifname = "eth0"});
    CHECK(request.netns == "/var/run/netns/cni-25c39005");
    CHECK(request.args == "A=b=c;;IgnoreUnknown=1; x=\xff");
    CHECK(request.path == "/opt/cni/bin");
  }

  TEST_CASE("a long value is cut in the error") {
    const std::string details = refused(with(valid("ADD"), "CNI_IFNAME", std::string(500, 'x'))).details();
    CHECK(details == "CNI_IFNAME is \"" + std::string(64, 'x') +
                         "\"... (500 bytes): must have 1 to 15 bytes, no '/', ':' or white space, and not be \".\" or "
                         "\"..\"");
  }

  TEST_CASE("A10.4 a value cannot put into a DEL error what containerd swallows") {
    const std::string details = refused(with(valid("DEL"), "CNI_CONTAINERID", "id Not Found")).details();
    CHECK(details.rfind("CNI_CONTAINERID is \"id absent\": ", 0) == 0);
  }
}

TEST_SUITE("conf.request") {
  TEST_CASE("A12.1 pairs are separated by semicolons") {
    const conf::CniArgs args = conf::CniArgs::parse("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1");
    CHECK(args.get("IgnoreUnknown") == "1");
    CHECK(args.get("K8S_POD_NAMESPACE") == "default");
    CHECK(args.get("K8S_POD_NAME") == "p1");
    CHECK(args.get("K8S_POD_UID").empty());
    CHECK(conf::CniArgs::parse("").get("K8S_POD_NAME").empty());
  }

  TEST_CASE("A12.2 a value may hold equal signs and be empty, and an empty pair is no pair") {
    CHECK(conf::CniArgs::parse("A=b=c").get("A") == "b=c");
    CHECK(conf::CniArgs::parse("A==").get("A") == "=");
    CHECK(conf::CniArgs::parse("A=b;").get("A") == "b");
    CHECK(conf::CniArgs::parse(";;A=b;;B=").get("A") == "b");
    CHECK(conf::CniArgs::parse("A=b;A=").get("A").empty());
  }

  TEST_CASE("A12.2 a pair without a key or without an equal sign is refused by its number and without its text") {
    const std::string rule = " must be KEY=VALUE; pairs are separated by ';'";
    for (const std::string text : {"secret", "=secret"}) {
      CAPTURE(text);
      check_refusal(refusal_of([&] { return conf::CniArgs::parse("A=b;;" + text + ";C=d"); }),
                    Code::kInvalidEnvironment, "invalid environment variable", "CNI_ARGS: pair 3" + rule);
    }
  }

  TEST_CASE("A12.3 the last of equal keys wins and keys are told apart by case") {
    const conf::CniArgs args = conf::CniArgs::parse("IP=10.0.0.1;ip=10.0.0.2;IP=10.0.0.3");
    CHECK(args.get("IP") == "10.0.0.3");
    CHECK(args.get("ip") == "10.0.0.2");
    CHECK(args.get("Ip").empty());
  }

  TEST_CASE("A12.4 the order of the keys does not matter") {
    const conf::CniArgs args =
        conf::CniArgs::parse("K8S_POD_INFRA_CONTAINER_ID=f39e;K8S_POD_UID=1493235d;IgnoreUnknown=1;K8S_POD_NAME=p1");
    CHECK(args.get("K8S_POD_UID") == "1493235d");
    CHECK(args.get("K8S_POD_NAME") == "p1");
  }

  TEST_CASE("A12.5 unknown keys are kept without IgnoreUnknown") {
    CHECK(conf::CniArgs::parse("SOME_NEW_KEY=1").get("SOME_NEW_KEY") == "1");
  }
}

TEST_SUITE("conf.request") {
  TEST_CASE("B5.1 the directories of CNI_PATH keep their order and empty ones are left out") {
    CHECK(conf::plugin_dirs("/opt/cni/bin:/usr/lib/cni") == std::vector<std::string>{"/opt/cni/bin", "/usr/lib/cni"});
    CHECK(conf::plugin_dirs("::/a::/b:") == std::vector<std::string>{"/a", "/b"});
    CHECK(conf::plugin_dirs("").empty());
  }
}
