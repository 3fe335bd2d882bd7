// SPDX-License-Identifier: Apache-2.0
#include "integration/runtimes/cri.h"

#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

namespace runtimes {
namespace {

using Json = nlohmann::json;

constexpr long kDeadlineSeconds = 60;
constexpr std::size_t kFrameHead = 5;  // compressed or not, and four bytes of length

std::size_t append(const char* bytes, std::size_t, std::size_t count, void* text) {
  static_cast<std::string*>(text)->append(bytes, count);
  return count;
}

std::string frame(const std::string& message) {
  std::string out(1, '\0');
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>(message.size() >> shift & 0xff));
  return out + message;
}

/// A header's or trailer's value; empty if it is missing.
std::string value_of(const std::string& headers, const std::string& name) {
  const std::size_t at = headers.find("\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 3;
  return headers.substr(begin, headers.find('\r', begin) - begin);
}

struct Answer {
  std::string headers;
  std::string body;
};

Answer post(const std::string& socket, const std::string& method, const std::string& body) {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(::curl_easy_init(), ::curl_easy_cleanup);
  curl_slist* list = ::curl_slist_append(nullptr, "Content-Type: application/grpc");
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(::curl_slist_append(list, "TE: trailers"),
                                                                   ::curl_slist_free_all);
  const std::string url = "http://localhost/runtime.v1.RuntimeService/" + method;
  Answer answer;
  (void)::curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  (void)::curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
  (void)::curl_easy_setopt(curl.get(), CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  (void)::curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.data());
  (void)::curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  (void)::curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, append);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &answer.headers);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, kDeadlineSeconds);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  (void)::curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  const CURLcode code = ::curl_easy_perform(curl.get());
  if (code != CURLE_OK) throw CriError(method + ": " + ::curl_easy_strerror(code));
  return answer;
}

Message config_of(const Pod& pod) {
  Message config;
  config.message(1, Message().text(1, pod.name).text(2, pod.uid).text(3, pod.name_space)).text(2, pod.name);
  for (const HostPort& port : pod.ports) config.message(5, Message().number(2, port.container).number(3, port.host));
  for (const auto& [key, value] : pod.annotations) config.entry(7, key, value);
  return config.message(8, Message());
}

/// What `verbose` asks for: JSON in a map.
Json info_of(std::string_view answer, const std::string& key) {
  for (const std::string_view entry : all_of(answer, 2))
    if (text_of(entry, 1) == key) return Json::parse(text_of(entry, 2));
  return {};
}

}  // namespace

std::string Cri::call(const std::string& method, const Message& request) const {
  const Answer answer = post(socket_, method, frame(request.bytes()));
  const std::string status = value_of(answer.headers, "grpc-status");
  if (status != "0") throw CriError(method + ": " + value_of(answer.headers, "grpc-message") + " (" + status + ")");
  if (answer.body.size() < kFrameHead) throw CriError(method + ": no message");
  return answer.body.substr(kFrameHead);
}

std::string Cri::run_pod(const Pod& pod) const {
  return std::string(text_of(call("RunPodSandbox", Message().message(1, config_of(pod))), 1));
}

void Cri::stop_pod(const std::string& id) const { (void)call("StopPodSandbox", Message().text(1, id)); }

void Cri::remove_pod(const std::string& id) const { (void)call("RemovePodSandbox", Message().text(1, id)); }

PodStatus Cri::pod_status(const std::string& id) const {
  const std::string answer = call("PodSandboxStatus", Message().text(1, id).number(2, 1));
  const std::string_view status = text_of(answer, 1);
  PodStatus out{number_of(status, 3) == 0, std::string(text_of(text_of(status, 5), 1)), {}, 0};
  const Json info = info_of(answer, "info");
  out.pid = info.value("pid", 0);
  for (const Json& space : info.at("runtimeSpec").at("linux").at("namespaces"))
    if (space.at("type") == "network") out.netns = space.value("path", "");
  return out;
}

std::vector<std::string> Cri::pods() const {
  const std::string answer = call("ListPodSandbox", Message());
  std::vector<std::string> ids;
  for (const std::string_view pod : all_of(answer, 1)) ids.emplace_back(text_of(pod, 1));
  return ids;
}

std::string Cri::network() const {
  const Json config = info_of(call("Status", Message().number(1, 1)), "cniconfig");
  if (!config.is_object()) return {};
  for (const Json& network : config.at("Networks")) {
    const auto name = network.at("Config").at("Name").get<std::string>();
    if (name != "cni-loopback") return name;
  }
  return {};
}

}  // namespace runtimes
