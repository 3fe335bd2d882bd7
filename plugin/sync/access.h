// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include "conf/disk.h"

// Where the API server is and how we prove who we are. A token file is read again for every request, since the tokens
// of service accounts are replaced every hour; so are certificates and keys. Nothing of their content is ever in an
// error.
namespace plugin::sync {

/// A file, or its content where a kubeconfig has it inline. Both empty: there is none.
struct Source {
  std::string path;
  std::string bytes;
  [[nodiscard]] bool empty() const { return path.empty() && bytes.empty(); }
  bool operator==(const Source&) const = default;
};

struct Access {
  std::string server;  ///< "https://10.96.0.1:443", perhaps with a path, without a slash at the end
  Source ca;           ///< empty: the machine's own
  Source token;
  Source certificate;
  Source key;
  bool operator==(const Access&) const = default;
};

/// What the command line says of it.
struct AccessOptions {
  std::string server;
  std::string ca_file;
  std::string token_file;
  std::string client_cert;
  std::string client_key;
  std::string kubeconfig;
};

using Environment = std::function<const char*(const char*)>;

/// `--server` and its companions, else `--kubeconfig` (JSON, as `kubectl config view --raw --minify -o json` prints
/// it), else the service account of the pod we run in. Code 7 for what is incomplete, contradictory or not safe.
[[nodiscard]] Access access_from(const AccessOptions& options, const Environment& environment, conf::Disk& disk);

/// https://, or http:// to an address of this machine (127.0.0.0/8, [::1]); no user, query or fragment. Code 7.
[[nodiscard]] std::string checked_server(std::string_view url);

/// Code 7 for a context, cluster or user that is not there or wants what we do not do: programs that give tokens,
/// passwords, or no check of certificates. `dir` is what relative paths begin at.
[[nodiscard]] Access read_kubeconfig(std::string_view text, const std::string& dir);

struct Credentials {
  std::string ca;
  std::string token;
  std::string certificate;
  std::string key;
};

/// As they are now, or one sentence on what is missing.
[[nodiscard]] std::variant<Credentials, std::string> load(const Access& access, conf::Disk& disk);

}  // namespace plugin::sync
