// SPDX-License-Identifier: Apache-2.0
#include "integration/support/prober.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "conf/fd.h"

namespace support {
namespace {

using conf::UniqueFd;
using Micros = std::chrono::microseconds;
using Steady = std::chrono::steady_clock;

/// What travels. The asker fills the first half, the answerer the second.
struct Packet {
  std::uint64_t flow = 0;
  std::uint64_t number = 0;
  std::uint64_t answerer = 0;
  in6_addr seen{};
};

/// Every socket is an IPv6 one that also speaks IPv4: one kind of address everywhere.
sockaddr_in6 socket_address(const std::string& text, std::uint16_t port) {
  sockaddr_in6 result{};
  result.sin6_family = AF_INET6;
  result.sin6_port = htons(port);
  const std::string v6 = text.find(':') == std::string::npos ? "::ffff:" + text : text;
  if (::inet_pton(AF_INET6, v6.c_str(), &result.sin6_addr) != 1) throw std::runtime_error("no IP address: " + text);
  return result;
}

std::string address_text(const in6_addr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(AF_INET6, &address, text.data(), text.size()) == nullptr) return {};
  const std::string_view whole(text.data());
  return std::string(IN6_IS_ADDR_V4MAPPED(&address) ? whole.substr(whole.rfind(':') + 1) : whole);
}

UniqueFd open_socket(const Netns& netns, std::uint16_t port) {
  UniqueFd fd;
  netns.enter([&] {
    fd.reset(::socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int off = 0;
    const int bytes = 4 << 20;  // a busy machine may leave us without the processor for a while
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    if (!fd || ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
      throw std::runtime_error("UDP socket in " + netns.name() + ": " + std::strerror(errno));
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  });
  return fd;
}

}  // namespace

/// All state, and the thread. Whoever touches the state holds `mutex_`; the thread lets go of it only while it sleeps.
class Prober::Loop {
 public:
  explicit Loop(Options options) : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw std::runtime_error("epoll_create1: " + std::string(std::strerror(errno)));
    thread_ = std::thread([this] { work(); });
  }
  ~Loop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    thread_.join();
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void join(const Endpoint& endpoint, const Netns& netns);
  void leave(const std::string& name);
  void probe(const std::string& from, const std::string& to, const std::string& service, const sockaddr_in6& where);
  void phase(const std::string& name) {
    const std::lock_guard lock(mutex_);
    phase_ = name;
  }
  void settle();
  [[nodiscard]] ProbeTotals totals() const;
  [[nodiscard]] std::vector<ProbeCount> counts() const {
    const std::lock_guard lock(mutex_);
    return {counts_.begin(), counts_.end()};
  }

 private:
  struct Station {
    Endpoint about;
    const Netns* netns = nullptr;
    UniqueFd asks;
    UniqueFd answers;
    Micros next{0};
  };
  struct InFlight {
    std::uint64_t number = 0;
    Micros sent{0};
    std::size_t count = 0;  ///< index into counts_: the phase it was sent in
  };
  struct Flow {
    std::uint64_t id = 0;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::string service;
    sockaddr_in6 where{};
    UniqueFd own_socket;  ///< of a service; empty in the mesh
    bool open = true;     ///< still sends
    std::uint64_t next_number = 0;
    std::string phase;
    std::size_t count = 0;
    std::deque<InFlight> in_flight;
  };

  [[nodiscard]] std::uint64_t id_of(const std::string& name) const;
  void add_flow(std::uint64_t from, std::uint64_t to, std::string service, const sockaddr_in6& where, UniqueFd socket);
  void watch(int fd, std::uint64_t key, int kind);
  void work();
  void handle(std::uint64_t key);
  void answer(std::uint64_t id, const Station& station);
  void receive(int fd);
  void judge(const Packet& packet, Flow& flow);
  void send_due();
  void send(Flow& flow, int fd);
  void expire();
  void finish_closed();
  std::size_t count_for(Flow& flow);

  // A probe's age is measured on this clock, not on the machine's: it stands still while we do, so that a machine too
  // busy to let us read an answer is not taken for a network that lost it.
  Micros clock_{0};
  Options options_;
  UniqueFd epoll_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  bool sending_ = true;
  std::string phase_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, Station> stations_;
  std::map<std::uint64_t, Flow> flows_;
  std::deque<ProbeCount> counts_;
  std::thread thread_;
};

namespace {
constexpr int kAsks = 0;
constexpr int kAnswers = 1;
constexpr int kService = 2;
constexpr Micros kLongestStep{20'000};
}  // namespace

void Prober::Loop::watch(int fd, std::uint64_t key, int kind) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key * 4 + static_cast<std::uint64_t>(kind);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::runtime_error("epoll_ctl: " + std::string(std::strerror(errno)));
}

std::uint64_t Prober::Loop::id_of(const std::string& name) const {
  for (const auto& [id, station] : stations_)
    if (station.about.name == name) return id;
  return 0;
}

void Prober::Loop::join(const Endpoint& endpoint, const Netns& netns) {
  Station station{endpoint, &netns, open_socket(netns, 0), {}, {}};
  if (!endpoint.address.empty()) station.answers = open_socket(netns, kEchoPort);
  const std::lock_guard lock(mutex_);
  if (id_of(endpoint.name) != 0) throw std::runtime_error("two endpoints named " + endpoint.name);
  const std::uint64_t id = ++last_id_;
  station.next = clock_ + Micros(options_.interval) * static_cast<long>(id % 8) / 8;  // not all at once
  watch(station.asks.get(), id, kAsks);
  if (station.answers) watch(station.answers.get(), id, kAnswers);
  if (!endpoint.address.empty()) {
    const sockaddr_in6 here = socket_address(endpoint.address, kEchoPort);
    for (const auto& [other_id, other] : stations_) {
      if (other.about.address.empty()) continue;
      add_flow(id, other_id, "", socket_address(other.about.address, kEchoPort), {});
      add_flow(other_id, id, "", here, {});
    }
  }
  stations_.emplace(id, std::move(station));
}

void Prober::Loop::add_flow(std::uint64_t from, std::uint64_t to, std::string service, const sockaddr_in6& where,
                            UniqueFd socket) {
  const std::uint64_t id = ++last_id_;
  if (socket) watch(socket.get(), id, kService);
  Flow flow;
  flow.id = id;
  flow.from = from;
  flow.to = to;
  flow.service = std::move(service);
  flow.where = where;
  flow.own_socket = std::move(socket);
  flows_.emplace(id, std::move(flow));
}

void Prober::Loop::probe(const std::string& from, const std::string& to, const std::string& service,
                         const sockaddr_in6& where) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t from_id = id_of(from);
  const std::uint64_t to_id = id_of(to);
  if (from_id == 0 || to_id == 0) throw std::runtime_error("no endpoint " + (from_id == 0 ? from : to));
  add_flow(from_id, to_id, service, where, open_socket(*stations_.at(from_id).netns, 0));
}

void Prober::Loop::leave(const std::string& name) {
  std::unique_lock lock(mutex_);
  const std::uint64_t id = id_of(name);
  if (id == 0) return;
  const auto concerns = [id](const auto& entry) { return entry.second.from == id || entry.second.to == id; };
  for (auto& entry : flows_)
    if (concerns(entry)) entry.second.open = false;
  changed_.wait(lock, [&] { return std::none_of(flows_.begin(), flows_.end(), concerns); });
  stations_.erase(id);
}

void Prober::Loop::settle() {
  std::unique_lock lock(mutex_);
  sending_ = false;
  changed_.wait(lock, [this] {
    return std::all_of(flows_.begin(), flows_.end(), [](const auto& entry) { return entry.second.in_flight.empty(); });
  });
}

ProbeTotals Prober::Loop::totals() const {
  const std::lock_guard lock(mutex_);
  ProbeTotals totals;
  for (const auto& count : counts_) {
    totals.sent += count.sent;
    totals.lost += count.lost;
  }
  return totals;
}

void Prober::Loop::work() {
  Steady::time_point before = Steady::now();
  std::array<epoll_event, 64> events;
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 1);
    lock.lock();
    const auto now = Steady::now();
    clock_ += std::min(std::chrono::duration_cast<Micros>(now - before), kLongestStep);
    before = now;
    for (int i = 0; i < ready; ++i) handle(events.at(static_cast<std::size_t>(i)).data.u64);
    if (sending_) send_due();
    if (ready < static_cast<int>(events.size())) expire();  // else there may be answers that were not read yet
    finish_closed();
  }
}

void Prober::Loop::handle(std::uint64_t key) {
  const std::uint64_t id = key / 4;
  if (key % 4 == kService) {
    const auto flow = flows_.find(id);
    if (flow != flows_.end()) receive(flow->second.own_socket.get());
    return;
  }
  const auto station = stations_.find(id);
  if (station == stations_.end()) return;
  if (key % 4 == kAnswers) answer(id, station->second);
  if (key % 4 == kAsks) receive(station->second.asks.get());
}

void Prober::Loop::answer(std::uint64_t id, const Station& station) {
  Packet packet;
  sockaddr_in6 peer{};
  socklen_t length = sizeof peer;
  while (::recvfrom(station.answers.get(), &packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&peer), &length) ==
         static_cast<ssize_t>(sizeof packet)) {
    packet.answerer = id;
    packet.seen = peer.sin6_addr;
    // An answer that cannot be sent is a lost probe, and that is counted where it was sent.
    (void)::sendto(station.answers.get(), &packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&peer), length);
    length = sizeof peer;
  }
}

void Prober::Loop::receive(int fd) {
  Packet packet;
  while (::recv(fd, &packet, sizeof packet, 0) == static_cast<ssize_t>(sizeof packet)) {
    const auto flow = flows_.find(packet.flow);
    if (flow != flows_.end()) judge(packet, flow->second);
  }
}

void Prober::Loop::judge(const Packet& packet, Flow& flow) {
  const auto probe = std::find_if(flow.in_flight.begin(), flow.in_flight.end(),
                                  [&](const InFlight& sent) { return sent.number == packet.number; });
  if (probe == flow.in_flight.end()) return;  // a second answer, or one that came too late
  ProbeCount& count = counts_.at(probe->count);
  if (packet.answerer != flow.to) {
    ++count.strangers;
    return;
  }
  count.slowest = std::max(count.slowest, clock_ - probe->sent);
  count.seen_as = address_text(packet.seen);
  flow.in_flight.erase(probe);
}

void Prober::Loop::send_due() {
  for (auto& [id, station] : stations_) {
    if (station.next > clock_) continue;
    station.next = clock_ + options_.interval;
    for (auto& [flow_id, flow] : flows_) {
      (void)flow_id;
      if (flow.from == id && flow.open) send(flow, flow.own_socket ? flow.own_socket.get() : station.asks.get());
    }
  }
}

std::size_t Prober::Loop::count_for(Flow& flow) {
  if (flow.next_number > 0 && flow.phase == phase_) return flow.count;
  const Endpoint& from = stations_.at(flow.from).about;
  const Endpoint& to = stations_.at(flow.to).about;
  ProbeCount count;
  count.phase = phase_;
  count.from = from.name;
  count.from_group = from.group;
  count.from_place = from.place;
  count.to = to.name;
  count.to_group = to.group;
  count.to_place = to.place;
  count.service = flow.service;
  counts_.push_back(std::move(count));
  flow.phase = phase_;
  flow.count = counts_.size() - 1;
  return flow.count;
}

void Prober::Loop::send(Flow& flow, int fd) {
  const std::size_t index = count_for(flow);
  ProbeCount& count = counts_.at(index);
  Packet packet;
  packet.flow = flow.id;
  packet.number = flow.next_number++;
  ++count.sent;
  if (::sendto(fd, &packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&flow.where), sizeof flow.where) < 0) {
    ++count.lost;
    count.problem = std::strerror(errno);
    return;
  }
  flow.in_flight.push_back({packet.number, clock_, index});
}

void Prober::Loop::expire() {
  for (auto& [id, flow] : flows_) {
    (void)id;
    while (!flow.in_flight.empty() && clock_ - flow.in_flight.front().sent > options_.patience) {
      ++counts_.at(flow.in_flight.front().count).lost;
      flow.in_flight.pop_front();
    }
  }
}

void Prober::Loop::finish_closed() {
  for (auto entry = flows_.begin(); entry != flows_.end();)
    entry = !entry->second.open && entry->second.in_flight.empty() ? flows_.erase(entry) : std::next(entry);
  changed_.notify_all();
}

Prober::Prober() : Prober(Options{}) {}
Prober::Prober(Options options) : loop_(std::make_unique<Loop>(options)) {}
Prober::~Prober() = default;
void Prober::join(const Endpoint& endpoint, const Netns& netns) { loop_->join(endpoint, netns); }
void Prober::leave(const std::string& name) { loop_->leave(name); }
void Prober::probe(const std::string& from, const std::string& to, const std::string& service,
                   const std::string& address, std::uint16_t port) {
  loop_->probe(from, to, service, socket_address(address, port));
}
void Prober::phase(const std::string& name) { loop_->phase(name); }
void Prober::settle() { loop_->settle(); }
ProbeTotals Prober::totals() const { return loop_->totals(); }
std::vector<ProbeCount> Prober::counts() const { return loop_->counts(); }

}  // namespace support
