// Bindings of what works on filtered images: arrays in, index arrays out. Arguments are validated in Python and assumed
// to be valid here. Functions have their Python names.
#include "bindings.hpp"

#include "betti_matching.hpp"
#include "build_info.hpp"
#include "merge_tree.hpp"
#include "persistence_pairs.hpp"
#include "saddle_paths.hpp"

using namespace nanobind::literals;

namespace topo::bindings {
namespace {

auto to_tuple(PairColumns&& columns) {
  const auto array = [&](int c) { return to_numpy(std::move(columns.column[c]), columns.size); };
  return std::make_tuple(array(0), array(1), array(2), array(3));
}

template <class T>
auto persistence_pairs(const Images<T>& images, bool negate, bool dual, bool framed, unsigned dims,
                       double min_persistence, std::size_t num_threads) {
  const Filtration filtration{negate, dual, framed, dims, min_persistence};
  const Batch<T> batch(images);
  PairColumns columns;
  {
    nb::gil_scoped_release unlocked;
    Array<Array<Pair>> pairs(batch.count);
    const std::size_t inside = threads_per_image(num_threads, batch.count);
    interruptible([&](const StopFlag& stop) {
      dispatch(batch.dims, [&](auto dims_constant) {
        using ThreadScratch = Scratch<dims_constant>;
        const Extent<dims_constant> extent = batch.template extent<dims_constant>();
        const auto of_image = [&](std::size_t i, ThreadScratch& scratch) {
          pairs[i] = topo::persistence_pairs(batch.image(i), extent, filtration, inside, stop, scratch);
        };
        parallel_for<ThreadScratch>(batch.count, num_threads, of_image, threads_of_team(num_threads, batch.size()));
      });
    });
    columns = pack(pairs);
  }
  return to_tuple(std::move(columns));
}

template <class T>
auto betti_matching(const Images<T>& predictions, const Images<T>& labels, bool negate, bool dual, bool framed,
                    unsigned dims, std::size_t num_threads) {
  const Filtration filtration{negate, dual, framed, dims};
  const Batch<T> prediction(predictions), label(labels);
  PairColumns prediction_columns, label_columns;
  Array<std::int64_t> matched_prediction, matched_label;
  {
    nb::gil_scoped_release unlocked;
    const std::size_t count = prediction.count, inside = threads_per_image(num_threads, count);
    Array<BettiMatching> matchings(count);
    const auto match = [&](std::size_t i, const auto& extent, const StopFlag& stop) {
      matchings[i] = topo::betti_matching(prediction.image(i), label.image(i), extent, filtration, inside, stop);
    };
    for_each_image(prediction, num_threads, match);
    Array<Array<Pair>> prediction_pairs(count), label_pairs(count);
    std::size_t predictions_before = 0, labels_before = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for (const auto& [a, b] : matchings[i].matched) {
        matched_prediction.push_back(static_cast<std::int64_t>(predictions_before + a));
        matched_label.push_back(static_cast<std::int64_t>(labels_before + b));
      }
      prediction_pairs[i] = std::move(matchings[i].prediction);
      label_pairs[i] = std::move(matchings[i].label);
      predictions_before += prediction_pairs[i].size();
      labels_before += label_pairs[i].size();
    }
    prediction_columns = pack(prediction_pairs);
    label_columns = pack(label_pairs);
  }
  return std::make_tuple(to_tuple(std::move(prediction_columns)), to_tuple(std::move(label_columns)),
                         to_numpy(std::move(matched_prediction)), to_numpy(std::move(matched_label)));
}

template <class T>
auto merge_tree(const Images<T>& images, bool negate, bool last_to_first, bool full, bool framed,
                std::size_t num_threads) {
  const MergeOrder order{negate, last_to_first, full, framed};
  const Batch<T> batch(images);
  std::array<Array<std::int64_t>, 4> columns;  // image, birth, death, parent
  Array<std::int64_t> region(batch.size());
  {
    nb::gil_scoped_release unlocked;
    Array<Array<Branch>> trees(batch.count);
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag& stop) {
      trees[i] = topo::merge_tree(batch.image(i), extent, order, region.data() + i * batch.image_size, stop);
    });
    std::int64_t total = 0, before = 0;
    for (const auto& tree : trees) total += static_cast<std::int64_t>(tree.size());
    for (std::size_t i = 0; i < batch.count; ++i) {
      const auto branches = static_cast<std::int64_t>(trees[i].size());
      const auto index_in_batch = [&](std::int64_t branch) { return branch == branches ? total : before + branch; };
      for (const Branch& branch : trees[i]) {
        columns[0].push_back(static_cast<std::int64_t>(i));
        columns[1].push_back(branch.birth);
        columns[2].push_back(branch.death);
        columns[3].push_back(index_in_batch(branch.parent));
      }
      for (std::size_t v = i * batch.image_size; v < (i + 1) * batch.image_size; ++v)
        region[v] = index_in_batch(region[v]);
      before += branches;
    }
  }
  return std::make_tuple(to_numpy(std::move(columns[0])), to_numpy(std::move(columns[1])),
                         to_numpy(std::move(columns[2])), to_numpy(std::move(columns[3])), to_numpy(std::move(region)));
}

// `image`, `saddle` and `level` have one entry per path, in the order of the images.
template <class T>
auto lift_paths(const Images<T>& images, const Images<std::int64_t>& image, const Images<std::int64_t>& saddle,
                const Images<T>& level, bool negate, bool last_to_first, bool full, bool framed,
                std::size_t num_threads) {
  const MergeOrder order{negate, last_to_first, full, framed};
  const Batch<T> batch(images);
  Array<T> lifted(batch.data, batch.data + batch.size());
  {
    nb::gil_scoped_release unlocked;
    Array<Array<PathTarget<T>>> targets(batch.count);
    for (std::size_t p = 0; p < image.size(); ++p)
      targets[image.data()[p]].push_back({saddle.data()[p], level.data()[p]});
    for_each_image(batch, num_threads, [&](std::size_t i, const auto& extent, const StopFlag& stop) {
      if (targets[i].empty()) return;
      topo::lift_paths(batch.image(i), extent, order, targets[i], lifted.data() + i * batch.image_size, stop);
    });
  }
  return to_numpy(std::move(lifted));
}

template <class T>
void bind_images(nb::module_& m) {
  m.def("persistence_pairs", &persistence_pairs<T>, "images"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
        "min_persistence"_a, "num_threads"_a);
  m.def("betti_matching", &betti_matching<T>, "predictions"_a, "labels"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
        "num_threads"_a);
  m.def("merge_tree", &merge_tree<T>, "images"_a, "negate"_a, "last_to_first"_a, "full"_a, "framed"_a, "num_threads"_a);
  m.def("lift_paths", &lift_paths<T>, "images"_a, "image"_a, "saddle"_a, "level"_a, "negate"_a, "last_to_first"_a,
        "full"_a, "framed"_a, "num_threads"_a);
}

}  // namespace
}  // namespace topo::bindings

NB_MODULE(_core, m) {
  m.doc() = "Cubical persistence with critical voxels: the compiled kernel of monai_topo.";
  topo::is_main_thread_of_python();  // looks it up, which needs the GIL
  m.attr("max_voxels") = topo::SaddleSaddleReduction::max_voxels;
  nanobind::dict build;
  build["compiler"] = topo::compiler;
  build["instructions"] = topo::instructions;
  build["assertions"] = topo::assertions;
  build["sanitizers"] = topo::sanitizers;
  m.attr("build") = build;
  topo::bindings::bind_images<float>(m);
  topo::bindings::bind_images<double>(m);
  topo::bind_masks(m);
  topo::bind_losses(m);
}
