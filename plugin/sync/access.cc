// SPDX-License-Identifier: Apache-2.0
#include "plugin/sync/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "conf/base64.h"
#include "conf/error.h"
#include "conf/ip.h"
#include "conf/json.h"

namespace plugin::sync {
namespace {

using conf::CniError;
using conf::Code;
using conf::Object;

constexpr std::size_t kMaxFile = std::size_t{1} << 20;
constexpr std::size_t kMaxToken = std::size_t{16} << 10;
constexpr std::string_view kAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

[[noreturn]] void refuse(std::string details) {
  throw CniError(Code::kInvalidConfig, "no usable access to the API server", std::move(details));
}

bool is_graphic(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_loopback(std::string_view host) {
  if (host == "[::1]") return true;
  const std::optional<conf::IpAddr> ip = conf::IpAddr::parse(host);
  return ip && ip->family == conf::Family::kIpv4 && ip->bytes[0] == 127;
}

// "host", "host:port" or "[address]:port" -> host.
std::string_view host_of(std::string_view authority) {
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : std::string_view::npos;
  const std::size_t end = bracket == std::string_view::npos ? authority.find(':') : bracket + 1;
  const std::string_view port = end < authority.size() ? authority.substr(end) : std::string_view{};
  const bool good_port =
      port.empty() || (port.size() > 1 && port.size() <= 6 && port[0] == ':' &&
                       std::all_of(port.begin() + 1, port.end(), [](char c) { return c >= '0' && c <= '9'; }));
  return good_port ? authority.substr(0, end) : std::string_view{};
}

std::string value_of(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? std::string() : std::string(value);
}

Access of_service_account(const Environment& environment) {
  const std::string host = value_of(environment, "KUBERNETES_SERVICE_HOST");
  const std::string port = value_of(environment, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty())
    refuse("neither --server nor --kubeconfig, and KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  const bool is_v6 = host.find(':') != std::string::npos;
  Access out;
  out.server = checked_server(fmt::format("https://{}:{}", is_v6 ? "[" + host + "]" : host, port));
  out.ca.path = fmt::format("{}/ca.crt", kAccount);
  out.token.path = fmt::format("{}/token", kAccount);
  return out;
}

Access of_flags(const AccessOptions& options) {
  Access out;
  out.server = checked_server(options.server);
  out.ca.path = options.ca_file;
  out.token.path = options.token_file;
  out.certificate.path = options.client_cert;
  out.key.path = options.client_key;
  if (out.certificate.empty() != out.key.empty()) refuse("--client-cert and --client-key go together");
  return out;
}

std::string text_in(const Object& part, std::string_view key) {
  return conf::string_member(part, key, "the kubeconfig").value_or("");
}

// "clusters": [{"name": ..., "cluster": {...}}] -> the inner object of that name.
Object named(const Object& config, std::string_view list, std::string_view inner, std::string_view name) {
  const std::string* raw = config.find(list);
  if (raw != nullptr && *raw != "null") {
    for (const std::string& element : conf::parse_array(*raw, "the kubeconfig")) {
      const Object entry = Object::parse(element, "the kubeconfig");
      const std::string* value = entry.find(inner);
      if (value != nullptr && text_in(entry, "name") == name) return Object::parse(*value, "the kubeconfig");
    }
  }
  refuse(fmt::format("the kubeconfig has no {} of the name that is asked for", inner));
}

Source source_in(const Object& part, const std::string& key, const std::string& dir) {
  Source out;
  if (const std::string inline_text = text_in(part, key + "-data"); !inline_text.empty()) {
    const std::optional<std::string> bytes = conf::from_base64(inline_text);
    if (!bytes) refuse(fmt::format("`{}-data` in the kubeconfig is no base64", key));
    out.bytes = *bytes;
    return out;
  }
  out.path = text_in(part, key);
  if (!out.path.empty() && !out.path.starts_with('/')) out.path = dir + "/" + out.path;
  return out;
}

bool is_set(const Object& part, std::string_view key) {
  const std::string* raw = part.find(key);
  return raw != nullptr && *raw != "null" && *raw != "\"\"" && *raw != "false";
}

void read_user(const Object& user, const std::string& dir, Access& out) {
  for (const char* key : {"exec", "auth-provider", "username", "password", "as"})
    if (is_set(user, key))
      refuse(fmt::format("the kubeconfig's user has `{}`; a token or a certificate is needed", key));
  out.certificate = source_in(user, "client-certificate", dir);
  out.key = source_in(user, "client-key", dir);
  if (out.certificate.empty() != out.key.empty())
    refuse("the kubeconfig's user has only one of client-certificate and client-key");
  out.token.bytes = text_in(user, "token");
  if (const std::string file = text_in(user, "tokenFile"); !file.empty())
    out.token = {.path = file.starts_with('/') ? file : dir + "/" + file, .bytes = {}};
}

std::string content(const Source& source, conf::Disk& disk, std::size_t limit) {
  if (source.path.empty()) return source.bytes;
  const std::optional<std::string> bytes = disk.read(source.path, limit);
  if (!bytes) throw CniError(Code::kIo, "no credentials", source.path + " does not exist");
  if (bytes->empty()) throw CniError(Code::kIo, "no credentials", source.path + " is empty");
  return *bytes;
}

}  // namespace

std::string checked_server(std::string_view url) {
  const bool is_secure = url.starts_with("https://");
  if (!is_secure && !url.starts_with("http://")) refuse("the server's address must begin with https://");
  std::string_view rest = url.substr(is_secure ? 8 : 7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const std::string_view host = host_of(rest.substr(0, rest.find('/')));
  if (host.empty() || rest.size() > 2048 || !is_graphic(rest) ||
      rest.find_first_of("@?#\\\"") != std::string_view::npos)
    refuse("the server's address must be https://HOST[:PORT][/PATH]");
  if (!is_secure && !is_loopback(host)) refuse("http:// is for 127.0.0.1 and [::1] only; the server needs https://");
  return fmt::format("{}{}", is_secure ? "https://" : "http://", rest);
}

Access read_kubeconfig(std::string_view text, const std::string& dir) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{')
    refuse("the kubeconfig is no JSON; `kubectl config view --raw --minify -o json` prints it so");
  const Object config = Object::parse(text, "the kubeconfig");
  const std::string current = text_in(config, "current-context");
  const Object context = named(config, "contexts", "context", current);
  const Object cluster = named(config, "clusters", "cluster", text_in(context, "cluster"));
  for (const char* key : {"insecure-skip-tls-verify", "proxy-url", "tls-server-name"})
    if (is_set(cluster, key)) refuse(fmt::format("the kubeconfig's cluster has `{}`, which is not supported", key));
  Access out;
  out.server = checked_server(text_in(cluster, "server"));
  out.ca = source_in(cluster, "certificate-authority", dir);
  read_user(named(config, "users", "user", text_in(context, "user")), dir, out);
  return out;
}

Access access_from(const AccessOptions& options, const Environment& environment, conf::Disk& disk) {
  const bool has_companions = !options.ca_file.empty() || !options.token_file.empty() || !options.client_cert.empty() ||
                              !options.client_key.empty();
  if (!options.server.empty() && !options.kubeconfig.empty()) refuse("--server and --kubeconfig exclude each other");
  if (!options.server.empty()) return of_flags(options);
  if (has_companions) refuse("--ca-file, --token-file, --client-cert and --client-key need --server");
  if (options.kubeconfig.empty()) return of_service_account(environment);
  const std::optional<std::string> text = disk.read(options.kubeconfig, kMaxFile);
  if (!text) refuse(options.kubeconfig + " does not exist");
  return read_kubeconfig(*text, conf::folder_of(options.kubeconfig));
}

std::variant<Credentials, std::string> load(const Access& access, conf::Disk& disk) {
  try {
    Credentials out{.ca = content(access.ca, disk, kMaxFile),
                    .token = content(access.token, disk, kMaxToken),
                    .certificate = content(access.certificate, disk, kMaxFile),
                    .key = content(access.key, disk, kMaxFile)};
    while (!out.token.empty() && (out.token.back() == '\n' || out.token.back() == '\r')) out.token.pop_back();
    // It becomes a line of the request.
    if (!is_graphic(out.token) || (out.token.empty() && !access.token.empty()))
      return fmt::format("{} is no token", access.token.path.empty() ? "the kubeconfig's" : access.token.path);
    return out;
  } catch (const CniError& error) {
    return std::string(error.what());
  }
}

}  // namespace plugin::sync
