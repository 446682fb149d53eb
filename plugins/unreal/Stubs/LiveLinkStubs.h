// SPDX-License-Identifier: MIT
// A stub, not Unreal: see README.md. Module LiveLinkInterface.
#pragma once

#include "CoreStubs.h"

class SWidget;
class ULiveLinkSourceSettings;

// Doc: LiveLinkInterface/LiveLinkTypes.h
struct FLiveLinkWorldTime
{
	FLiveLinkWorldTime();
	explicit FLiveLinkWorldTime(const double InTime);
};
struct FLiveLinkSubjectKey
{
	FLiveLinkSubjectKey(FGuid InSource, FName InSubjectName);
};
struct FLiveLinkMetaData
{
	FQualifiedFrameTime SceneTime;
};
struct FLiveLinkBaseStaticData
{
	TArray<FName> PropertyNames;
	static UScriptStruct* StaticStruct();
};
struct FLiveLinkBaseFrameData
{
	FLiveLinkWorldTime WorldTime;
	FLiveLinkMetaData MetaData;
	TArray<float> PropertyValues;
	static UScriptStruct* StaticStruct();
};
struct FLiveLinkStaticDataStruct
{
	explicit FLiveLinkStaticDataStruct(const UScriptStruct* Type);
	FLiveLinkStaticDataStruct(FLiveLinkStaticDataStruct&&);
	template <typename T>
	T* Cast();
};
struct FLiveLinkFrameDataStruct
{
	explicit FLiveLinkFrameDataStruct(const UScriptStruct* Type);
	FLiveLinkFrameDataStruct(FLiveLinkFrameDataStruct&&);
	template <typename T>
	T* Cast();
};

// Doc: LiveLinkInterface/LiveLinkRole.h, Roles/LiveLinkBasicRole.h
class ULiveLinkRole : public UObject
{
};
class ULiveLinkBasicRole : public ULiveLinkRole
{
};

class ILiveLinkSource;

// Doc: LiveLinkInterface/ILiveLinkClient.h
class ILiveLinkClient : public IModularFeature
{
public:
	static FName ModularFeatureName;
	virtual FGuid AddSource(TSharedPtr<ILiveLinkSource> Source) = 0;
	virtual void RemoveSource(TSharedPtr<ILiveLinkSource> Source) = 0;
	virtual void PushSubjectStaticData_AnyThread(const FLiveLinkSubjectKey& SubjectKey, TSubclassOf<ULiveLinkRole> Role, FLiveLinkStaticDataStruct&& StaticData) = 0;
	virtual void PushSubjectFrameData_AnyThread(const FLiveLinkSubjectKey& SubjectKey, FLiveLinkFrameDataStruct&& FrameData) = 0;
};

// Doc: LiveLinkInterface/ILiveLinkSource.h
class ILiveLinkSource
{
public:
	virtual ~ILiveLinkSource();
	virtual void ReceiveClient(ILiveLinkClient* InClient, FGuid InSourceGuid) = 0;
	virtual void InitializeSettings(ULiveLinkSourceSettings* Settings);
	virtual void Update();
	virtual bool CanBeDisplayedInUI() const;
	virtual bool IsSourceStillValid() const = 0;
	virtual bool RequestSourceShutdown() = 0;
	virtual FText GetSourceType() const = 0;
	virtual FText GetSourceMachineName() const = 0;
	virtual FText GetSourceStatus() const = 0;
};

// Doc: LiveLinkInterface/LiveLinkSourceFactory.h
class ULiveLinkSourceFactory : public UObject
{
public:
	enum class EMenuType : uint8
	{
		SubPanel,
		MenuEntry,
		Disabled
	};
	virtual FText GetSourceDisplayName() const = 0;
	virtual FText GetSourceTooltip() const = 0;
	virtual EMenuType GetMenuType() const;
	virtual TSharedPtr<ILiveLinkSource> CreateSource(const FString& ConnectionString) const;
};
