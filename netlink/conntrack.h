// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "conf/ip.h"
#include "netlink/socket.h"

// The connection tracking table: which flows there are, and the end of those that would go on to a pod that is gone.
namespace netlink {

struct FlowTuple {
  conf::IpAddr source;
  conf::IpAddr destination;
  std::uint8_t protocol = 0;      ///< 6 tcp, 17 udp, 132 sctp
  std::uint16_t source_port = 0;  ///< 0 for a protocol without ports
  std::uint16_t destination_port = 0;
  auto operator<=>(const FlowTuple&) const = default;
};

/// One entry. A flow that was redirected to a pod has the pod's address as reply.source.
struct Flow {
  FlowTuple original;  ///< as the first packet came in
  FlowTuple reply;     ///< as answers come in
  std::uint16_t zone = 0;
  std::uint32_t id = 0;  ///< as long as the entry lives
  bool operator==(const Flow&) const = default;
};

/// What a flush did.
struct Flushed {
  std::size_t deleted = 0;
  /// False if this kernel has no conntrack to ask (nf_conntrack_netlink is absent): there is nothing we could flush.
  bool available = true;
  bool operator==(const Flushed&) const = default;
};

/// The seam: KernelFlows, and a fake for tests.
class Flows {
 public:
  using Matches = std::function<bool(const Flow&)>;
  virtual ~Flows() = default;
  /// Deletes the entries of `family` that match, among those of tcp, udp and sctp; one dump, one request for each. An
  /// entry that ended by itself meanwhile counts as not deleted. CniError code 5 for what the kernel refuses, code 11
  /// if the dump was interrupted again and again.
  virtual Flushed flush(conf::Family family, const Matches& matches) = 0;
  /// The addresses of this host's links, both families: a flow whose original destination is none of them is transit,
  /// and none of ours. 127.0.0.0/8 is local as a whole and not listed address by address: see is_local.
  [[nodiscard]] virtual std::set<conf::IpAddr> local_addresses() = 0;
};

/// Whether `addr` is this host's: one of `local`, or 127.0.0.0/8.
[[nodiscard]] bool is_local(const conf::IpAddr& addr, const std::set<conf::IpAddr>& local);

/// In the namespace of the process. Sockets are opened when first needed.
class KernelFlows final : public Flows {
 public:
  Flushed flush(conf::Family family, const Matches& matches) override;
  [[nodiscard]] std::set<conf::IpAddr> local_addresses() override;

 private:
  std::optional<Socket> netfilter_;
  std::optional<Socket> route_;
};

/// The flow in one IPCTNL_MSG_CT_NEW message, header included; nothing if it is another message, malformed, or not of
/// IPv4 or IPv6. Pure.
[[nodiscard]] std::optional<Flow> decode_flow(std::span<const std::byte> message);

/// The requests: all flows of a family; the deletion of one (by its tuple, zone and id). Pure.
[[nodiscard]] std::vector<std::byte> encode_flow_dump(conf::Family family);
[[nodiscard]] std::vector<std::byte> encode_flow_delete(const Flow& flow);

}  // namespace netlink
