// The Python face of the kernel: arrays in, index arrays out. Arguments are validated in Python and assumed here.
#include "bindings.hpp"

#include "betti_matching.hpp"
#include "merge_tree.hpp"
#include "saddle_paths.hpp"
#include "persistence_pairs.hpp"

using namespace nanobind::literals;

namespace topo {
namespace {

auto to_tuple(PairColumns&& columns) {
  const auto array = [&](int c) { return to_numpy(std::move(columns.column[c]), columns.size); };
  return std::make_tuple(array(0), array(1), array(2), array(3));
}

template <class T>
auto pairs_of_images(const Images<T>& images, bool negate, bool dual, bool framed, unsigned dims,
                     double min_persistence, std::size_t num_threads) {
  const Filtration filtration{negate, dual, framed, dims, min_persistence};
  const std::size_t count = images.shape(0);
  const bool flat = images.ndim() == 3;
  const auto extent = [&](int axis) { return static_cast<Voxel>(images.shape(axis)); };
  PairColumns columns;
  {
    nb::gil_scoped_release unlocked;
    interruptible(images.size() > long_work_voxels, [&](const StopFlag& stop) {
      if (flat)
        columns = pairs_of_batch<2>(images.data(), count, {extent(1), extent(2)}, filtration, num_threads, stop);
      else
        columns = pairs_of_batch<3>(images.data(), count, {extent(1), extent(2), extent(3)}, filtration, num_threads, stop);
    });
  }
  return to_tuple(std::move(columns));
}

template <class T>
auto match_batch(const Images<T>& predictions, const Images<T>& labels, bool negate, bool dual, bool framed,
                    unsigned dims, std::size_t num_threads) {
  const Filtration filtration{negate, dual, framed, dims, 0.0};
  const std::size_t count = predictions.shape(0);
  const int ndim = static_cast<int>(predictions.ndim()) - 1;
  std::array<std::uint32_t, 3> shape{};
  std::size_t size = 1;
  for (int a = 0; a < ndim; ++a) {
    shape[a] = static_cast<std::uint32_t>(predictions.shape(a + 1));
    size *= shape[a];
  }
  std::vector<std::vector<Pair>> prediction(count), label(count);
  PairColumns of_prediction, of_label;
  std::array<std::vector<std::int64_t>, 2> matched;
  {
    nb::gil_scoped_release unlocked;
    std::vector<BettiMatching> matchings(count);
    const std::size_t inside = std::max<std::size_t>(1, num_threads / std::max<std::size_t>(1, count));
    interruptible(count * size > long_work_voxels / 8, [&](const StopFlag& stop) {
      parallel_for(count, num_threads, [&](std::size_t i) {
        const std::array<const T*, 2> images{predictions.data() + i * size, labels.data() + i * size};
        matchings[i] = ndim == 2 ? betti_matching<2, T>(images, {shape[0], shape[1]}, filtration, inside, stop)
                                 : betti_matching<3, T>(images, shape, filtration, inside, stop);
      });
    });
    std::size_t predictions_before = 0, labels_before = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for (const auto& [a, b] : matchings[i].matched) {
        matched[0].push_back(static_cast<std::int64_t>(predictions_before + a));
        matched[1].push_back(static_cast<std::int64_t>(labels_before + b));
      }
      prediction[i] = std::move(matchings[i].prediction);
      label[i] = std::move(matchings[i].label);
      predictions_before += prediction[i].size();
      labels_before += label[i].size();
    }
    of_prediction = pack(prediction);
    of_label = pack(label);
  }
  return std::make_tuple(to_tuple(std::move(of_prediction)), to_tuple(std::move(of_label)), to_numpy(std::move(matched[0])),
                         to_numpy(std::move(matched[1])));
}

template <class T>
auto merge_trees_of_batch(const Images<T>& images, bool negate, bool last_to_first, bool full, bool outside,
                std::size_t num_threads) {
  const MergeOrder order{negate, last_to_first, full, outside};
  const std::size_t count = images.shape(0), size = count > 0 ? images.size() / count : 0;
  const bool flat = images.ndim() == 3;
  const auto extent = [&](int axis) { return static_cast<Voxel>(images.shape(axis)); };
  std::array<std::vector<std::int64_t>, 4> columns;  // image, birth, death, parent
  std::vector<std::int64_t> region(count * size);
  {
    nb::gil_scoped_release unlocked;
    std::vector<std::vector<Branch>> trees(count);
    interruptible(count * size > long_work_voxels, [&](const StopFlag& stop) {
      parallel_for(count, num_threads, [&](std::size_t i) {
        const T* values = images.data() + i * size;
        std::int64_t* to = region.data() + i * size;
        trees[i] = flat ? merge_tree<2>(values, {extent(1), extent(2)}, order, to, stop)
                        : merge_tree<3>(values, {extent(1), extent(2), extent(3)}, order, to, stop);
      });
    });
    std::int64_t total = 0, before = 0;
    for (const auto& tree : trees) total += static_cast<std::int64_t>(tree.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto branches = static_cast<std::int64_t>(trees[i].size());
      const auto in_batch = [&](std::int64_t branch) { return branch == branches ? total : before + branch; };
      for (const Branch& branch : trees[i]) {
        columns[0].push_back(static_cast<std::int64_t>(i));
        columns[1].push_back(branch.birth);
        columns[2].push_back(branch.death);
        columns[3].push_back(in_batch(branch.parent));
      }
      for (std::size_t v = i * size; v < (i + 1) * size; ++v) region[v] = in_batch(region[v]);
      before += branches;
    }
  }
  return std::make_tuple(to_numpy(std::move(columns[0])), to_numpy(std::move(columns[1])),
                         to_numpy(std::move(columns[2])), to_numpy(std::move(columns[3])), to_numpy(std::move(region)));
}

// `image`, `saddle` and `level` stand for one path each, in the order of the images.
template <class T>
auto lift_paths_of_batch(const Images<T>& images, const Images<std::int64_t>& image, const Images<std::int64_t>& saddle,
                const Images<T>& level, bool negate, bool last_to_first, bool full, bool outside,
                std::size_t num_threads) {
  const MergeOrder order{negate, last_to_first, full, outside};
  const std::size_t count = images.shape(0), size = count > 0 ? images.size() / count : 0;
  const bool flat = images.ndim() == 3;
  const auto extent = [&](int axis) { return static_cast<Voxel>(images.shape(axis)); };
  std::vector<T> lifted(images.data(), images.data() + images.size());
  {
    nb::gil_scoped_release unlocked;
    std::vector<std::vector<Aim<T>>> aims(count);
    for (std::size_t i = 0; i < image.size(); ++i) aims[image.data()[i]].push_back({saddle.data()[i], level.data()[i]});
    interruptible(count * size > long_work_voxels, [&](const StopFlag& stop) {
      parallel_for(count, num_threads, [&](std::size_t i) {
        if (aims[i].empty()) return;
        const T* values = images.data() + i * size;
        T* to = lifted.data() + i * size;
        if (flat)
          lift_paths<2>(values, {extent(1), extent(2)}, order, aims[i], to, stop);
        else
          lift_paths<3>(values, {extent(1), extent(2), extent(3)}, order, aims[i], to, stop);
      });
    });
  }
  return to_numpy(std::move(lifted));
}

}  // namespace
}  // namespace topo

NB_MODULE(_core, m) {
  using namespace topo;
  m.doc() = "Cubical persistence with critical voxels: the compiled kernel of monai_topo.";
  m.attr("max_voxels") = SaddleReduction::max_voxels;
  const auto for_both = [&](auto kind) {
    using T = decltype(kind);
    m.def("persistence_pairs", &pairs_of_images<T>, "images"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
          "min_persistence"_a, "num_threads"_a);
    m.def("betti_matching", &match_batch<T>, "predictions"_a, "labels"_a, "negate"_a, "dual"_a, "framed"_a, "dims"_a,
          "num_threads"_a);
    m.def("merge_tree", &merge_trees_of_batch<T>, "images"_a, "negate"_a, "last_to_first"_a, "full"_a, "framed"_a,
          "num_threads"_a);
    m.def("lift_paths", &lift_paths_of_batch<T>, "images"_a, "image"_a, "saddle"_a, "level"_a, "negate"_a,
          "last_to_first"_a, "full"_a, "framed"_a, "num_threads"_a);
  };
  for_both(float{});
  for_both(double{});
  bind_masks(m);
}
