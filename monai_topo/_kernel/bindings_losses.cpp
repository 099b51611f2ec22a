// Bindings of the losses: patches of likelihoods and labels in, costs, critical voxels and derivatives out. Arguments are
// validated in Python and assumed to be valid here. Functions have their Python names.
#include <functional>
#include <numeric>
#include <optional>

#include "betti_distance.hpp"
#include "bindings.hpp"
#include "gradient.hpp"
#include "persistence_distance.hpp"

using namespace nanobind::literals;

namespace topo {
namespace bindings {
namespace {

using Starts = Images<std::int64_t>;  // of patches, one row for each, or the size of all of them

// Patches of a batch of images. The patches of an image follow one another.
template <class T>
struct PatchBatch {
  Batch<T> images, labels;
  const std::int64_t *starts, *size;
  std::size_t per_image;

  PatchBatch(const Images<T>& image_array, const Images<T>& label_array, const Starts& start_array,
             const Starts& size_array)
      : images(image_array),
        labels(label_array),
        starts(start_array.data()),
        size(size_array.data()),
        per_image(start_array.shape(0)) {}

  std::size_t count() const { return images.count * per_image; }
  std::size_t num_voxels() const {
    return std::accumulate(size, size + images.dims, count(), std::multiplies<std::size_t>());
  }
  std::size_t image_of(std::size_t i) const { return i / per_image; }

  template <int D>
  Patch<D> patch(std::size_t i) const {
    Extent<D> extent;
    std::array<Voxel, D> start;
    for (int a = 0; a < D; ++a) {
      extent[a] = static_cast<Voxel>(size[a]);
      start[a] = static_cast<Voxel>(starts[i % per_image * D + a]);
    }
    return {images.template extent<D>(), extent, start};
  }
};

template <class Work, class T>
struct PatchScratch {
  Work work;
  PatchMemory<T> patch;
};

// Calls compute(i, patch, values and label, threads inside, stop, memory) for every patch of a batch, on threads, with
// a Scratch for each thread. To be called without the GIL.
template <template <int> class ThreadScratch, class T, class Compute>
void for_each_patch(const PatchBatch<T>& batch, const Plateaus<T>& plateaus, std::size_t num_threads, Compute compute) {
  const std::size_t inside = threads_per_image(num_threads, batch.count());
  interruptible([&](const StopFlag& stop) {
    dispatch(batch.images.dims, [&](auto dims) {
      using Memory = PatchScratch<ThreadScratch<dims>, T>;
      const auto of_patch = [&](std::size_t i, Memory& memory) {
        stop.check();
        const Patch<dims> patch = batch.template patch<dims>(i);
        const std::size_t image = batch.image_of(i);
        const T *values = batch.images.image(image), *label = batch.labels.image(image);
        compute(i, patch, read_patch(values, label, patch, plateaus, inside, memory.patch), inside, stop, memory.work);
      };
      parallel_for<Memory>(batch.count(), num_threads, of_patch, threads_of_team(num_threads, batch.num_voxels()));
    });
  });
}

// What Python reads as bits of one byte: PatchFeatures in persistence/persistence_distance.py.
enum FeatureFlags : std::uint8_t { matched = 1, ignored = 2, fixed_birth = 4, fixed_death = 8 };

// The features of all patches, with critical voxels in the whole batch, flat.
template <class T>
struct FeatureColumns {
  Array<std::int64_t> first;               // of every patch, and the end
  std::unique_ptr<std::int64_t[]> voxels;  // birth and death in turn
  std::unique_ptr<T[]> derivatives;        // by birth and death in turn
  std::unique_ptr<std::uint8_t[]> dim, flags;

  // `found`: what was found in every patch, with its `features`, the essential class first.
  template <class Found>
  explicit FeatureColumns(const Array<Found>& found) : first{0} {
    for (const auto& patch : found) first.push_back(first.back() + static_cast<std::int64_t>(patch.features.size()));
    voxels.reset(new std::int64_t[2 * size()]);
    derivatives.reset(new T[2 * size()]);
    dim.reset(new std::uint8_t[size()]);
    flags.reset(new std::uint8_t[size()]);
  }
  std::size_t size() const { return static_cast<std::size_t>(first.back()); }

  // Writes the features of a patch. cost_of(feature) has the derivatives.
  template <int D, class CostOf>
  void write_patch(std::size_t i, const Features<T>& features, const PatchBatch<T>& batch, const Patch<D>& patch,
                   const Plateaus<T>& plateaus, bool foreground_border, CostOf cost_of) {
    const std::size_t offset = batch.image_of(i) * batch.images.image_size;
    const auto is_fixed = [&](std::int64_t v) {
      return plateaus.any() && !plateaus.keeps(batch.images.data[v], batch.labels.data[v]);
    };
    auto row = static_cast<std::size_t>(first[i]);
    for (const Feature<T>& feature : features) {
      const auto cost = cost_of(feature);
      const auto birth = static_cast<std::int64_t>(offset + patch.in_image(feature.birth));
      const auto death = static_cast<std::int64_t>(offset + patch.in_image(feature.death));
      int bits = (feature.is_matched ? matched : 0) | (feature.is_ignored ? ignored : 0) |
                 (is_fixed(birth) ? fixed_birth : 0) | (is_fixed(death) ? fixed_death : 0);
      if (&feature == features.data())  // the essential class: one of its ends is no voxel
        bits |= foreground_border ? fixed_birth : fixed_death;
      voxels[2 * row] = birth;
      voxels[2 * row + 1] = death;
      derivatives[2 * row] = bits & fixed_birth ? 0 : cost.by_birth;
      derivatives[2 * row + 1] = bits & fixed_death ? 0 : cost.by_death;
      dim[row] = static_cast<std::uint8_t>(feature.dim);
      flags[row++] = static_cast<std::uint8_t>(bits);
    }
  }

  auto to_tuple() && {
    const std::size_t count = size();
    return std::make_tuple(to_numpy(std::move(first)), to_numpy(std::move(voxels), 2 * count),
                           to_numpy(std::move(derivatives), 2 * count), to_numpy(std::move(dim), count),
                           to_numpy(std::move(flags), count));
  }
};

// Calls write(i, patch) for every patch, on threads if it is worth their start.
template <class T, class Write>
void write_patches(const PatchBatch<T>& batch, std::size_t features, std::size_t num_threads, Write write) {
  constexpr std::size_t worth_a_thread = std::size_t{1} << 16;
  dispatch(batch.images.dims, [&](auto dims) {
    parallel_for(batch.count(), features < worth_a_thread ? 1 : num_threads,
                 [&](std::size_t i) { write(i, batch.template patch<dims>(i)); });
  });
}

template <class T>
auto persistence_distance(const Images<T>& images, const Images<T>& labels, const Starts& starts, const Starts& size,
                          bool negate, bool dual, bool framed, unsigned dims, double min_persistence, int matching,
                          double min_label_size, T support, T saturation, T high, bool matched_cost,
                          std::size_t num_threads) {
  const DistanceSettings settings{
      {negate, dual, framed, dims, min_persistence}, static_cast<Matching>(matching), min_label_size, matched_cost};
  const Plateaus<T> plateaus{support, saturation, high};
  const PatchBatch<T> batch(images, labels, starts, size);
  Array<T> cost(batch.count());
  std::optional<FeatureColumns<T>> columns;
  {
    nb::gil_scoped_release unlocked;
    Array<MatchedFeatures<T>> found(batch.count());
    for_each_patch<Scratch>(
        batch, plateaus, num_threads,
        [&](std::size_t i, const auto& patch, const PatchValues<T>& values, std::size_t inside, const StopFlag& stop,
            auto& scratch) { found[i] = matched_features<T>(values, patch.extent, settings, inside, stop, scratch); });
    columns.emplace(found);
    write_patches(batch, columns->size(), num_threads, [&](std::size_t i, const auto& patch) {
      cost[i] = static_cast<T>(static_cast<float>(found[i].missing) / 2);
      columns->write_patch(i, found[i].features, batch, patch, plateaus, settings.foreground_border(),
                           [&](const Feature<T>& feature) {
                             const FeatureCost<T> feature_cost(feature, matched_cost);
                             cost[i] += feature_cost.value;
                             return feature_cost;
                           });
    });
  }
  return std::tuple_cat(std::make_tuple(to_numpy(std::move(cost))), std::move(*columns).to_tuple());
}

// The errors by dimension, and those of the essential classes.
template <class T>
auto betti_distance(const Images<T>& images, const Images<T>& labels, const Starts& starts, const Starts& size,
                    bool negate, bool dual, bool framed, unsigned dims, T support, T saturation, T high,
                    bool matched_cost, std::size_t num_threads) {
  const DistanceSettings settings{{negate, dual, framed, dims}, Matching::spatial, 0, matched_cost};
  const Plateaus<T> plateaus{support, saturation, high};
  const PatchBatch<T> batch(images, labels, starts, size);
  const std::size_t dimensions = batch.images.dims;
  Array<T> error(batch.count() * dimensions), essential_error(batch.count());
  std::optional<FeatureColumns<T>> columns;
  {
    nb::gil_scoped_release unlocked;
    Array<BettiDistance<T>> found(batch.count());
    for_each_patch<BinaryScratch>(
        batch, plateaus, num_threads,
        [&](std::size_t i, const auto& patch, const PatchValues<T>& values, std::size_t inside, const StopFlag& stop,
            auto& scratch) { found[i] = topo::betti_distance(values, patch.extent, settings, inside, stop, scratch); });
    columns.emplace(found);
    write_patches(batch, columns->size(), num_threads, [&](std::size_t i, const auto& patch) {
      std::copy_n(found[i].error.begin(), dimensions, error.begin() + static_cast<std::ptrdiff_t>(dimensions * i));
      essential_error[i] = matched_cost ? found[i].essential_error() : T{0};
      const Feature<T>* const essential = found[i].features.data();
      columns->write_patch(i, found[i].features, batch, patch, plateaus, settings.foreground_border(),
                           [&](const Feature<T>& feature) {
                             BettiCost<T> cost(feature, matched_cost);
                             if (&feature == essential && !feature.is_ignored && matched_cost)
                               cost.by_birth = cost.by_death = 4 * found[i].essential_difference;
                             return cost;
                           });
    });
  }
  return std::tuple_cat(std::make_tuple(to_numpy(std::move(error)), to_numpy(std::move(essential_error))),
                        std::move(*columns).to_tuple());
}

// The matching by value of features that are given, `values` as birth and death in turn.
template <class T>
auto match_by_value(const Images<T>& values, const Images<std::int64_t>& group, const Images<std::int64_t>& num_true,
                    bool by_rank) {
  Array<std::uint8_t> is_matched(group.size(), 0);
  {
    nb::gil_scoped_release unlocked;
    Features<T> features(group.size());
    Array<Members> members(num_true.size());
    for (std::uint32_t i = 0; i < group.size(); ++i) {
      features[i].birth_value = values.data()[2 * i];
      features[i].death_value = values.data()[2 * i + 1];
      members[group.data()[i]].push_back(i);
    }
    for (std::size_t g = 0; g < members.size(); ++g)
      topo::match_by_value(features, std::move(members[g]), num_true.data()[g], by_rank);
    for (std::size_t i = 0; i < features.size(); ++i) is_matched[i] = features[i].is_matched;
  }
  return to_numpy(std::move(is_matched));
}

// Sets `gradient`, which has one row for every image, to the sum of the terms of all patches times their factors.
template <class T>
void distance_gradient(const Images<T>& factors, const Images<std::int64_t>& first, const Images<std::int64_t>& voxels,
                       const Images<T>& derivatives,
                       const nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>& gradient, bool overlap,
                       std::size_t num_threads) {
  const std::size_t num_images = gradient.shape(0);
  T* const sum = gradient.data();
  nb::gil_scoped_release unlocked;
  const std::size_t per_image = factors.shape(0) / std::max<std::size_t>(1, num_images);
  for_each_slab(gradient.size(), num_threads, 1.0,
                [=](std::size_t begin, std::size_t end) { std::fill(sum + begin, sum + end, T{0}); });
  parallel_for<Array<T>>(num_images, num_threads, [&](std::size_t image, Array<T>& own) {
    if (overlap) own.resize(gradient.size());
    // From the last patch to the first, as automatic differentiation does.
    for (std::size_t i = (image + 1) * per_image; i-- > image * per_image;) {
      const GradientTerms<T> terms{voxels.data(), derivatives.data(), 2 * static_cast<std::size_t>(first.data()[i]),
                                   2 * static_cast<std::size_t>(first.data()[i + 1])};
      if (overlap)
        add_overlapping(terms, factors.data()[i], sum, own);
      else
        for_each_term(terms, factors.data()[i], [&](std::int64_t v, T value) { sum[v] += value; });
    }
  });
}

template <class T>
void bind(nb::module_& m) {
  m.def("persistence_distance", &persistence_distance<T>, "images"_a, "labels"_a, "starts"_a, "size"_a, "negate"_a,
        "dual"_a, "framed"_a, "dims"_a, "min_persistence"_a, "matching"_a, "min_label_size"_a, "support"_a,
        "saturation"_a, "high"_a, "matched_cost"_a, "num_threads"_a);
  m.def("match_by_value", &match_by_value<T>, "values"_a, "group"_a, "num_true"_a, "by_rank"_a);
  m.def("betti_distance", &betti_distance<T>, "images"_a, "labels"_a, "starts"_a, "size"_a, "negate"_a, "dual"_a,
        "framed"_a, "dims"_a, "support"_a, "saturation"_a, "high"_a, "matched_cost"_a, "num_threads"_a);
  m.def("distance_gradient", &distance_gradient<T>, "factors"_a, "first"_a, "voxels"_a, "derivatives"_a,
        "gradient"_a.noconvert(), "overlap"_a, "num_threads"_a);
}

}  // namespace
}  // namespace bindings

void bind_losses(nb::module_& m) {
  bindings::bind<float>(m);
  bindings::bind<double>(m);
}

}  // namespace topo
