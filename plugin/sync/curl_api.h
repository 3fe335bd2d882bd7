// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "plugin/sync/access.h"
#include "plugin/sync/api.h"

// The API server over libcurl. Certificates are always checked, redirects never followed, proxies and ~/.netrc never
// asked. An answer has 30 seconds and kMaxObjectBytes; a stream ends by itself after four minutes, and with force after
// four and a half: a connection that died in silence is found out then.
namespace plugin::sync {

class CurlApi final : public Api {
 public:
  /// `stop_fd`: readable once we are to end. Throws CniError if libcurl cannot be used.
  CurlApi(Access access, conf::Disk& disk, int stop_fd);
  ~CurlApi() override;
  CurlApi(const CurlApi&) = delete;
  CurlApi& operator=(const CurlApi&) = delete;

  [[nodiscard]] std::string server() const override { return access_.server; }
  [[nodiscard]] Reply get(const std::string& target) override;
  void open(Kind kind, const std::string& target) override;
  void close(Kind kind) override;
  [[nodiscard]] std::vector<Piece> wait(std::chrono::milliseconds time) override;
  [[nodiscard]] bool stopped() const override { return stopped_; }

 private:
  class Multi;
  class Transfer;

  void poll(Multi& multi, std::chrono::milliseconds time);
  void collect();

  Access access_;
  conf::Disk& disk_;
  int stop_fd_;
  bool stopped_ = false;
  std::unique_ptr<Multi> single_;
  std::unique_ptr<Multi> streams_;
  std::map<Kind, std::unique_ptr<Transfer>> open_;
  std::vector<Piece> pieces_;
};

}  // namespace plugin::sync
