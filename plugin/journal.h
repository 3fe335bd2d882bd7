// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conf/disk.h"
#include "plugin/attachment.h"

// The records on disk: `attachments/` below stateDir, one file an attachment (format: attachment.h).
namespace plugin {

/// A file below attachments/ that is no usable record, for status and gc.
struct BrokenRecord {
  enum class Kind {
    kUnreadable,
    kSetAside,    ///< kept for people
    kUnfinished,  ///< somebody was killed while writing it; what it announces never began
  };
  std::string file;
  std::string problem;
  Kind kind = Kind::kUnreadable;
};

struct Found {
  std::optional<Attachment> attachment;  ///< nothing if there is no file, or its intent was cut short
  bool torn = false;                     ///< there is a file, and it holds no whole intent
};

class Journal {
 public:
  Journal(conf::Disk& disk, const std::string& state_dir);

  /// Makes stateDir and attachments/.
  void prepare();
  /// The record of `id`. Code 104 for a file that is whole and no record.
  [[nodiscard]] Found find(const conf::AttachmentId& id);
  /// Every whole record, in the order of their file names; what is none goes to `broken`.
  [[nodiscard]] std::vector<Attachment> all(std::vector<BrokenRecord>* broken = nullptr);
  /// Interfaces of `container_id` with a record, other than `but`.
  [[nodiscard]] std::vector<Attachment> siblings(const conf::AttachmentId& but);

  /// Publishes the intent, and the result if it is known already; false if the attachment already has a file.
  [[nodiscard]] bool begin(const Attachment& attachment);
  /// Adds the result and the routes made inside the pod, synced to disk.
  void complete(const conf::AttachmentId& id, std::string_view result, std::int64_t ready_ms,
                const std::vector<conf::PodRouteSetting>& pod_routes = {});
  /// Writes the record anew with the count of failed DELs.
  void note_failure(const Attachment& attachment, std::int64_t failed_ms);
  void forget(const conf::AttachmentId& id);
  /// Removes a file of kind kUnfinished. Nobody may be at work on it: the caller holds the lock of garbage collection.
  void remove_unfinished(const BrokenRecord& record);
  /// Moves a file that is no record out of the way, to `<name>.broken`; it is kept for people.
  void set_aside(const conf::AttachmentId& id);

 private:
  [[nodiscard]] std::string path(const conf::AttachmentId& id) const;
  [[nodiscard]] std::string draft_path(const conf::AttachmentId& id) const;
  conf::Disk& disk_;
  std::string dir_;
};

}  // namespace plugin
